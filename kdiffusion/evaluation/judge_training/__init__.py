"""Training a judge: a small classifier of real images, which reads what drawn ones show.

This room needs TensorFlow and data sets, which `kdiffusion.evaluation`, where judges are used, must
do without; `kdiffusion.export.judge_writer` writes the file that passes from one to the other.
"""
