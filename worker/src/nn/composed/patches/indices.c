// Prints where the kernels' index arithmetic leads: for each element of the
// patches its place in the images, then for each element of the images and
// each tap its place in the patches.
#include <stdio.h>

#include "patches.h"

int main(void) {
  Geometry g;
  u32 *field = (u32 *)&g, pixels, elements;
  for (unsigned i = 0; i < sizeof g / sizeof *field; i++) {
    if (scanf("%u", &field[i]) != 1) return 1;
  }
  if (scanf("%u %u", &pixels, &elements) != 2) return 1;
  for (u32 at = 0; at < elements; at++) printf("%d ", image_index(&g, at));
  for (u32 at = 0; at < pixels; at++) {
    for (u32 y = 0; y < g.kernel_h; y++) {
      for (u32 x = 0; x < g.kernel_w; x++) printf("%d ", patch_index(&g, at, y, x));
    }
  }
  return 0;
}
