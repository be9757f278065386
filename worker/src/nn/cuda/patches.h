// Where the elements of patches lie in images, and back: index arithmetic
// alone, which the tests run on the CPU. The layouts are those of
// `nn::composed::patches`: images [n, h, w, channels], patches
// [groups, count, kh, kw, channels / groups], count = n * out_h * out_w.

#ifndef FN
#define FN static inline
#endif

typedef unsigned int u32;

typedef struct {
  u32 h, w, channels, groups;
  u32 kernel_h, kernel_w, stride_h, stride_w;
  u32 padding_h, padding_w, dilation_h, dilation_w;
  u32 out_h, out_w, count;
} Geometry;

// The index in the images of element `at` of the patches; -1 in the padding.
FN int image_index(const Geometry *g, u32 at) {
  u32 width = g->channels / g->groups;
  u32 channel = at % width;
  at /= width;
  u32 tap_x = at % g->kernel_w;
  at /= g->kernel_w;
  u32 tap_y = at % g->kernel_h;
  at /= g->kernel_h;
  u32 site = at % g->count, group = at / g->count;
  u32 col = site % g->out_w;
  site /= g->out_w;
  u32 row = site % g->out_h, image = site / g->out_h;
  // Wraps below zero, to more than any side.
  u32 y = row * g->stride_h + tap_y * g->dilation_h - g->padding_h;
  u32 x = col * g->stride_w + tap_x * g->dilation_w - g->padding_w;
  if (y >= g->h || x >= g->w) return -1;
  return (int)(((image * g->h + y) * g->w + x) * g->channels + group * width + channel);
}

// The index in the patches of element `at` of the images under one tap of the
// window; -1 if no window stops so.
FN int patch_index(const Geometry *g, u32 at, u32 tap_y, u32 tap_x) {
  u32 width = g->channels / g->groups;
  u32 group = at % g->channels / width, channel = at % width;
  at /= g->channels;
  u32 left = at % g->w + g->padding_w - tap_x * g->dilation_w;
  at /= g->w;
  u32 top = at % g->h + g->padding_h - tap_y * g->dilation_h;
  u32 image = at / g->h;
  u32 row = top / g->stride_h, col = left / g->stride_w;
  // What wrapped below zero is beyond all sites.
  if (row >= g->out_h || col >= g->out_w) return -1;
  if (row * g->stride_h != top || col * g->stride_w != left) return -1;
  u32 site = (image * g->out_h + row) * g->out_w + col;
  u32 patch = (group * g->count + site) * g->kernel_h + tap_y;
  return (int)((patch * g->kernel_w + tap_x) * width + channel);
}
