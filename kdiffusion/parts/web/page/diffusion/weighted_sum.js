/** The one piece of array arithmetic that diffusion needs. */

/** a x + b y, number by number: Float64Array of the length of x and y. */
export function weightedSum(a, x, b, y) {
  const sum = new Float64Array(x.length);
  for (let i = 0; i < sum.length; i += 1) sum[i] = a * x[i] + b * y[i];
  return sum;
}
