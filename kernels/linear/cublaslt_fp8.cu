// FP8 y = x W^T by cuBLASLt's kernels for block scales, which it has for compute capability 9.0.
// Scales  : x's 1 x 128 scales are taken as they are, a column of rows for every 128 channels; the
//           library has no stride for them, so the columns must lie `rows` apart. W's 128 x 128
//           scales are K-major with rows of in / 128 rounded up to 4, which are our checkpoint
//           scales as they are when in is a multiple of 512. Both must start 16-byte aligned.
// Groups  : a product each, one after the other; too slow for few rows, which are refused.
// Source  : NVIDIA, cuBLAS 12.9 documentation, 1D and 2D block scaling.
#include "kernels/linear/cublaslt.h"
#include "kernels/linear/launch.h"
#include "kernels/linear/linear.h"

namespace v4cap::kernels::linear {
namespace {

void launch(const Fp8Args& args, void* workspace, Stream stream) {
  const std::int64_t in_blocks = args.in / 128, out_blocks = args.out / 128;
  for (std::int64_t group = 0; group < args.groups; ++group) {
    LtProduct product = product_of_group(args, group);
    product.x_scales = args.x.scales + group * in_blocks * args.x.scale_stride;
    product.w_scales = args.w.scales + group * out_blocks * in_blocks;
    launch_lt(product, workspace, stream);
  }
}

const Register<Fp8Args> kVersion{
    {.name = "sm90a_cublaslt",
     .target = Target::sm90a,
     .preference = 15,
     .idea = "the library's block-scaled kernels",
     .refuses = refuses_block_scales,
     .workspace_bytes = [](const Fp8Args&) { return kLtWorkspaceBytes; },
     .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::linear
