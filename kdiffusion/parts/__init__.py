"""What may be taken out: delete a folder, and the lines elsewhere that name it.

A part imports the core; the core knows it by rows of its tables alone. It is one folder: its code,
its command and what that requires. Its tests and its page of docs have its name.
"""
