#include "kernels/entry_reference.h"
#include "kernels/parallel.h"
#include "kernels/q_rope_kv_store/q_rope_kv_store.h"

namespace v4cap::kernels::q_rope_kv_store {

Expected reference(const Args& args) {
  const std::int64_t tokens = args.batch.tokens;
  const std::int64_t q_width = static_cast<std::int64_t>(args.heads) * kHeadDim;
  Expected expected{std::vector<double>(static_cast<std::size_t>(tokens * q_width)),
                    std::vector<double>(static_cast<std::size_t>(tokens * kHeadDim))};
  for_each_index(tokens, [&](std::int64_t t) {
    const float* angles = angles_at(args.rope, args.batch.positions[t]);
    for (int head = 0; head < args.heads; ++head) {
      double* q = expected.q.data() + t * q_width + head * kHeadDim;
      const Bf16* in = args.q + t * args.q_stride + head * kHeadDim;
      for (int c = 0; c < kHeadDim; ++c) q[c] = real(in[c]);
      norm_to_bf16(q, kHeadDim, nullptr, args.eps);
      rotate(q + kNopeDim, angles, kRopeDim);
    }
    double* kv = expected.kv.data() + t * kHeadDim;
    const Bf16* in = args.kv + t * args.kv_stride;
    for (int c = 0; c < kHeadDim; ++c) kv[c] = real(in[c]);
    norm_to_bf16(kv, kHeadDim, args.kv_weight, args.eps);
    rope_to_bf16(kv, kHeadDim, angles);
    quantise_fp8(kv, kNopeDim, kNopeBlock);
  });
  return expected;
}

}  // namespace v4cap::kernels::q_rope_kv_store
