// FP8 y = x W^T by cuBLASLt's MXFP8 kernels, which it has for compute capability 10.0: a UE8M0
// scale for 32 channels of a row of either operand. Ours are coarser powers of two, so repeating
// them is exact (mxfp8_scales.h). A small kernel writes both scale tensors into the workspace.
// Traffic : the scale tensors, 1/32 B for each byte of codes, written and read again; they stay in
// L2.
// Groups  : a product each, one after the other.
// Never run, for want of a GPU. Relied on, and read only: the documented layout of the scales, and
// that the library has a kernel for these shapes (launch_lt throws where it has none).
// Source  : NVIDIA, cuBLAS 13 documentation, 1D block scaling.
#include "kernels/cuda/check.h"
#include "kernels/linear/cublaslt.h"
#include "kernels/linear/launch.h"
#include "kernels/linear/linear.h"
#include "kernels/linear/mxfp8_scales.h"

namespace v4cap::kernels::linear {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    write_scales(const __grid_constant__ Fp8Args args, ScaleLine* __restrict__ x,
                 ScaleLine* __restrict__ w) {
  const std::int64_t x_lines = x_scale_tiles(args).lines();
  const std::int64_t lines = x_lines + w_scale_tiles(args).lines();
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < lines;
       i += std::int64_t{gridDim.x} * kThreads) {
    if (i < x_lines) {
      x[i] = x_scale_line(args, i);
    } else {
      w[i - x_lines] = w_scale_line(args, i - x_lines);
    }
  }
}

void launch(const Fp8Args& args, void* workspace, Stream stream) {
  if (args.rows == 0) return;
  const ScaleTiles x_tiles = x_scale_tiles(args), w_tiles = w_scale_tiles(args);
  std::uint8_t* x_scales = static_cast<std::uint8_t*>(workspace) + kLtWorkspaceBytes;
  std::uint8_t* w_scales = x_scales + x_tiles.bytes();
  constexpr std::int64_t kMostBlocks = 148 * 8;  // of the GPU at once
  const std::int64_t blocks = (x_tiles.lines() + w_tiles.lines() + kThreads - 1) / kThreads;
  write_scales<<<static_cast<unsigned>(std::min(blocks, kMostBlocks)), kThreads, 0, stream>>>(
      args, reinterpret_cast<ScaleLine*>(x_scales), reinterpret_cast<ScaleLine*>(w_scales));
  V4CAP_LAUNCHED("linear scales");
  for (std::int64_t group = 0; group < args.groups; ++group) {
    LtProduct product = product_of_group(args, group);
    product.x_mx_scales = x_scales + group * x_tiles.group_bytes();
    product.w_mx_scales = w_scales + group * w_tiles.group_bytes();
    launch_lt(product, workspace, stream);
  }
}

const Register<Fp8Args> kVersion{
    {.name = "sm100a_mxfp8",
     .target = Target::sm100a,
     .preference = 10,
     .never_run = true,
     .idea = "the library's MXFP8 kernels, our scales repeated in its layout",
     .refuses = refuses_gemm,
     .workspace_bytes =
         [](const Fp8Args& args) { return kLtWorkspaceBytes + mxfp8_scales_bytes(args); },
     .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::linear
