// Attention of V4: 64 or 128 query heads over one shared KV head whose entries are key and value at
// once (448 channels without RoPE as FP8 codes, 64 with RoPE as bf16; see formats/pages.h).
//
// The query of position t sees
//   window   raw entries of positions max(0, t - 127)..t
//   CSA      the compressed entries selected[t, :] (positions in the sequence), or
//   HCA      all compressed entries j < floor((t + 1) / 128), or nothing more (window-only layers)
// A list of selected entries begins with them, at most min(top_k, floor((t + 1) / compress_ratio)),
// and -1 fills its end, as topk.h guarantees: versions walk only so many of its places.
// Recent tokens may be seen twice, raw and compressed. With s = scale * q . c over all seen
// entries:
//   out = sum_j e^(s_j - m) c_j / (sum_j e^(s_j - m) + e^(sink_h - m))
// Source: DeepSeek-V4 inference reference (sparse_attn); entry layout: FlashMLA.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/batch.h"
#include "kernels/formats/matrices.h"
#include "kernels/formats/pages.h"

namespace v4cap::kernels::attention {

enum class Kind : std::uint8_t { window, csa, hca };

struct Args {
  Batch batch = {};
  Kind kind = Kind::window;
  int heads = 0;            // 64 or 128; fewer local heads are padded to 64 by the caller
  const Bf16* q = nullptr;  // [tokens, q_stride], heads * 512 of each row
  std::int64_t q_stride = 0;
  KvPool window = {};
  PageTable window_pages = {};
  KvPool extra = {};  // CSA or HCA entries
  PageTable extra_pages = {};
  int compress_ratio = 0;                  // 4, 128, or 0
  const std::int32_t* selected = nullptr;  // CSA: [tokens, top_k], entries first, then -1
  int top_k = 0;
  const float* sink = nullptr;         // [heads]
  float scale = 0.04419417382415922f;  // 512^-1/2
  Bf16* out = nullptr;                 // [tokens, heads, 512]
  float* lse = nullptr;  // [tokens, heads] or null: m + log(sum_j e^(s_j - m)), without the sink
};

struct Expected {
  std::vector<double> out;  // [tokens, heads, 512]
  std::vector<double> lse;  // [tokens, heads]
};
Expected reference(const Args& args);

}  // namespace v4cap::kernels::attention
