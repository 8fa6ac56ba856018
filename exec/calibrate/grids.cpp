#include "exec/calibrate/grids.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/core/error.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr int kContextMost = 1 << 20;

}  // namespace

std::vector<int> token_grid(GridSize size, int most) {
  std::vector<int> values;
  if (size == GridSize::quick) {
    values = {1, 4, 16, 64, 256, 1024, 4096, 8192};
  } else {
    for (int power = 1; power <= 32768; power *= 2) values.push_back(power);
    // Tiles have 8 to 128 rows; the number of multiprocessors times a tile lies above.
    values.insert(values.end(), {3,  6,   9,   12,  15,  17,  24,  31,  33,   48,   63,   65,
                                 96, 127, 129, 192, 255, 257, 384, 768, 1536, 3072, 6144, 12288});
  }
  std::ranges::sort(values);
  std::erase_if(values, [&](int value) { return value > most; });
  return values;
}

std::vector<DecodePoint> decode_grid(GridSize size, std::int64_t pairs) {
  std::vector<int> batches{1, 8, 32, 128}, contexts{1024, 8192, 65536, kContextMost};
  if (size == GridSize::full) {
    batches = {1, 2, 4, 8, 16, 32, 63, 64, 65, 96, 128, 192, 256};
    contexts = {128, 129};
    for (int power = 256; power <= kContextMost; power *= 2) contexts.push_back(power);
  }
  std::vector<DecodePoint> out;
  for (const int batch : batches) {
    for (const int context : contexts) {
      if (std::int64_t{batch} * context <= pairs) out.push_back({batch, context});
    }
  }
  return out;
}

std::vector<PrefillPoint> prefill_grid(GridSize size) {
  std::vector<int> fresh{128, 1024, 8192}, past{0, 8192, 131072};
  if (size == GridSize::full) {
    fresh = {64, 128, 129, 256, 512, 1024, 2048, 4096, 8192};
    past = {0, 1024, 4096, 16384, 65536, 131072, 262144, 524288, kContextMost - 8192};
  }
  std::vector<PrefillPoint> out;
  for (const int f : fresh) {
    for (const int p : past) out.push_back({f, p});
  }
  return out;
}

int local_heads(const Rank& rank) {
  return static_cast<int>(rank.model.heads / rank.tp);
}

int padded_heads(const Rank& rank) {
  return local_heads(rank) <= 64 ? 64 : 128;
}

int local_experts(const Rank& rank) {
  return static_cast<int>(rank.model.moe.routed_experts / rank.ep);
}

void check_rank(const Rank& rank) {
  const ModelSpec& m = rank.model;
  if (m.count(LayerKind::csa) + m.count(LayerKind::hca) == 0) {
    throw InputError(Place{"--model"},
                     fmt::format("expected a DeepSeek-V4 model, found {}", m.name));
  }
  const auto share = [](const char* option, const char* what, std::int64_t all, int gpus) {
    if (gpus < 1 || all % gpus != 0) {
      throw InputError(Place{option}, fmt::format("expected a number of GPUs that divides the {} "
                                                  "{}, found {}",
                                                  all, what, gpus));
    }
  };
  share("--tp", "attention heads", m.heads, rank.tp);
  share("--tp", "groups of the output projection", m.output_groups, rank.tp);
  share("--tp", "words of the vocabulary", m.vocab, rank.tp);
  share("--ep", "routed experts", m.moe.routed_experts, rank.ep);
  if (local_heads(rank) > 128) {
    throw InputError(Place{"--tp"}, fmt::format("expected at most 128 heads on a GPU, found {}",
                                                local_heads(rank)));
  }
}

}  // namespace v4cap::exec::calibrate
