// Kernels where candle has none that fits. Each thread handles an element at
// a time; neighbours read and write neighbours.

#define FN static __device__ __forceinline__
#include "patches.h"

// Elements of a thread of the grid, however large the grid is.
#define EACH(at, count)                                                        \
  u32 at = blockIdx.x * blockDim.x + threadIdx.x;                              \
  at < (count);                                                                \
  at += gridDim.x * blockDim.x

FN float zero(float) { return 0.0f; }
FN float4 zero(float4) { return make_float4(0.0f, 0.0f, 0.0f, 0.0f); }
FN float plus(float a, float b) { return a + b; }
FN float4 plus(float4 a, float4 b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

template <typename T>
FN void im2col(const Geometry &g, u32 elements, const T *images, T *patches) {
  for (EACH(at, elements)) {
    int from = image_index(&g, at);
    patches[at] = from < 0 ? zero(T()) : images[from];
  }
}

// A sum over the taps that see a pixel, in their order: no atomics, so that
// the same bits come out each time.
template <typename T>
FN void col2im(const Geometry &g, u32 elements, const T *patches, T *images) {
  for (EACH(at, elements)) {
    T sum = zero(T());
    for (u32 y = 0; y < g.kernel_h; y++) {
      for (u32 x = 0; x < g.kernel_w; x++) {
        int from = patch_index(&g, at, y, x);
        if (from >= 0) sum = plus(sum, patches[from]);
      }
    }
    images[at] = sum;
  }
}

extern "C" {

__global__ void im2col_1(Geometry g, u32 elements, const float *x, float *y) {
  im2col(g, elements, x, y);
}

// Four channels at a time: `g.channels` counts fours.
__global__ void im2col_4(Geometry g, u32 elements, const float4 *x, float4 *y) {
  im2col(g, elements, x, y);
}

__global__ void col2im_1(Geometry g, u32 elements, const float *x, float *y) {
  col2im(g, elements, x, y);
}

__global__ void col2im_4(Geometry g, u32 elements, const float4 *x, float4 *y) {
  col2im(g, elements, x, y);
}

// Adam's moments, [2, n], by the gradient, [n]: what is kept, and what is new.
__global__ void adam_moments(u32 n, float b1, float n1, float b2, float n2, float *moments,
                             const float *grad) {
  for (EACH(at, n)) {
    float g = grad[at];
    moments[at] = b1 * moments[at] + n1 * g;
    moments[n + at] = b2 * moments[n + at] + n2 * g * g;
  }
}

// Adam's step by its moments.
__global__ void adam_step(u32 n, float rate, float root, float kept, float epsilon,
                          float *parameter, const float *moments) {
  for (EACH(at, n)) {
    float step = rate * moments[at] / (sqrtf(moments[n + at]) / root + epsilon);
    parameter[at] = kept * parameter[at] - step;
  }
}

// An exponential moving average.
__global__ void follow(u32 n, float share, float *average, const float *value) {
  for (EACH(at, n)) average[at] += share * (value[at] - average[at]);
}
}
