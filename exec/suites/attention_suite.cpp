// Attention: queries of decode and prefill over windows, CSA's selected entries and all of HCA's.
//
// Entries of the cache are counted as read once for each sequence of the launch, however many of
// its tokens see them: in decode what the token sees, in a chunk of prefill the union over its
// tokens. What no token of a sequence can see is NaN, so that masking its score is not enough: NaN
// times a weight of 0 is NaN.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/entry_operands.h"
#include "exec/suites/operands.h"
#include "kernels/attention/attention.h"
#include "kernels/attention_csa/work.h"
#include "kernels/attention_hca/work.h"
#include "kernels/attention_window/work.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::attention;

struct Sequence {
  int past = 0, tokens = 1;  // positions past .. past + tokens - 1 are new
};

struct Shape {
  op::Kind kind = op::Kind::window;
  int heads = 64;
  std::vector<Sequence> sequences = {};
  int top_k = 512;
  int selected_at_most = 1 << 30;  // of a token's list; the rest of it is -1
  int window_pages = 0;            // of a sequence; 0: enough for the new tokens' windows
  std::int64_t q_stride = 0;       // 0: heads * 512
  bool judged = true;  // false: only timed, and what no token can see is left as numbers
};

int compress_ratio(op::Kind kind) {
  if (kind == op::Kind::window) return 0;
  return kind == op::Kind::csa ? 4 : 128;
}

// Pages of all sequences of one cache, shuffled.
struct Pages {
  std::vector<std::int32_t> table;
  int length = 0;

  Pages(int sequences, int pages_each, std::mt19937_64& random)
      : table(static_cast<std::size_t>(sequences) * static_cast<std::size_t>(pages_each)),
        length(pages_each) {
    std::iota(table.begin(), table.end(), 0);
    std::shuffle(table.begin(), table.end(), random);
  }
};

// Entries of a sequence that some of its new tokens can see: [first, end).
struct Visible {
  std::int64_t first = 0, end = 0;
};
std::vector<Visible> visible_in_window(const Shape& shape) {
  std::vector<Visible> visible;
  for (const Sequence& s : shape.sequences) {
    visible.push_back({std::max(0, s.past - (kernels::kWindow - 1)), s.past + s.tokens});
  }
  return visible;
}
std::vector<Visible> visible_compressed(const Shape& shape) {
  std::vector<Visible> visible;
  for (const Sequence& s : shape.sequences) {
    visible.push_back(
        {0, kernels::visible_entries(s.past + s.tokens - 1, compress_ratio(shape.kind))});
  }
  return visible;
}

// The lists of CSA: each token takes a run, at a random place, of its sequence's entries in a
// random order, so that no entry is in a list twice.
struct Selected {
  std::vector<std::int32_t> lists;
  std::int64_t pairs = 0, distinct = 0;

  Selected(const Shape& shape, std::mt19937_64& random) {
    for (const Sequence& s : shape.sequences) {
      std::vector<bool> used(static_cast<std::size_t>((s.past + s.tokens) / 4));
      std::vector<std::int32_t> order(used.size());
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), random);
      for (int t = 0; t < s.tokens; ++t) {
        const auto visible = kernels::visible_entries(s.past + t, 4);
        const auto count = std::min<std::int64_t>(
            {visible, std::int64_t{shape.top_k}, std::int64_t{shape.selected_at_most}});
        std::size_t at = order.empty() ? 0 : random() % order.size();
        for (std::int64_t taken = 0; taken < count; at = (at + 1) % order.size()) {
          if (order[at] >= visible) continue;
          lists.push_back(order[at]);
          used[static_cast<std::size_t>(order[at])] = true;
          ++taken;
        }
        pairs += count;
        lists.insert(lists.end(), static_cast<std::size_t>(shape.top_k - count), -1);
      }
      distinct += std::count(used.begin(), used.end(), true);
    }
  }
};

class AttentionCase : public OperatorCase<op::Args> {
 public:
  AttentionCase(const Shape& shape, std::uint64_t seed) : shape_(shape) {
    std::mt19937_64 random(seed);
    std::vector<std::int32_t> positions, sequence_of, first_token;
    for (const Sequence& s : shape.sequences) {
      first_token.push_back(static_cast<std::int32_t>(positions.size()));
      for (int t = 0; t < s.tokens; ++t) {
        positions.push_back(s.past + t);
        sequence_of.push_back(static_cast<std::int32_t>(first_token.size()) - 1);
      }
      batch_.max_new_tokens = std::max(batch_.max_new_tokens, s.tokens);
      batch_.max_context = std::max(batch_.max_context, s.past + s.tokens);
    }
    first_token.push_back(static_cast<std::int32_t>(positions.size()));
    batch_.tokens = static_cast<int>(positions.size());
    batch_.sequences = static_cast<int>(shape.sequences.size());
    positions_ = Buffer<std::int32_t>(std::move(positions));
    sequence_of_ = Buffer<std::int32_t>(std::move(sequence_of));
    first_token_ = Buffer<std::int32_t>(std::move(first_token));

    // Queries of RMS 1.5 over entries of about 1: scores of about 1.5 in units of log e.
    q_stride_ = shape.q_stride != 0 ? shape.q_stride : std::int64_t{shape.heads} * 512;
    q_ = Buffer<Bf16>(batch_.tokens * q_stride_);
    fill_normal(q_, seed, 1.5f);
    sink_ = Buffer<float>(shape.heads);
    fill_normal(sink_, seed + 1, 2.0f, 3.0f);
    const int context_pages =
        (batch_.max_context + kernels::kTokensPerPage - 1) / kernels::kTokensPerPage;
    // New tokens and 127 before them, wherever in a page these begin.
    const int window_pages =
        std::min(context_pages, (batch_.max_new_tokens + kernels::kWindow + 253) / 256 + 1);
    window_ =
        Cache(visible_in_window(shape), shape.window_pages != 0 ? shape.window_pages : window_pages,
              kernels::kTokensPerPage, shape.judged, seed + 2, random);
    if (shape.kind != op::Kind::window) {
      extra_ = Cache(visible_compressed(shape), context_pages,
                     kernels::kTokensPerPage / compress_ratio(shape.kind), shape.judged, seed + 3,
                     random);
    }
    if (shape.kind == op::Kind::csa) {
      Selected selected(shape, random);
      selected_pairs_ = selected.pairs;
      selected_distinct_ = selected.distinct;
      selected_ = Buffer<std::int32_t>(std::move(selected.lists));
    }
    out_ = Buffer<Bf16>(std::int64_t{batch_.tokens} * shape.heads * kernels::kHeadDim);
    lse_ = Buffer<float>(std::int64_t{batch_.tokens} * shape.heads);
  }

  op::Args args(Side side) override {
    op::Args a;
    a.batch = batch_;
    a.batch.positions = positions_.at(side);
    a.batch.sequence_of = sequence_of_.at(side);
    a.batch.first_token = first_token_.at(side);
    a.kind = shape_.kind;
    a.heads = shape_.heads;
    a.q = q_.at(side);
    a.q_stride = q_stride_;
    a.window = window_.pool(side);
    a.window_pages = window_.pages(side);
    a.compress_ratio = compress_ratio(shape_.kind);
    if (shape_.kind != op::Kind::window) {
      a.extra = extra_.pool(side);
      a.extra_pages = extra_.pages(side);
    }
    if (shape_.kind == op::Kind::csa) {
      a.selected = selected_.at(side);
      a.top_k = shape_.top_k;
    }
    a.sink = sink_.at(side);
    a.out = out_.at(side);
    a.lse = lse_.at(side);
    return a;
  }

  void reset() override {
    out_.poison();
    lse_.poison();
  }

  std::vector<Finding> judge() override {
    if (!expected_) expected_ = op::reference(args(Side::host));
    // Queries, entries and weights meet as bf16; the weights' rounding is the coarsest step.
    std::vector<Finding> findings =
        compare("out", expected_->out, reals(out_), kernels::kHeadDim, 2e-2, 2);
    append(findings, compare("lse", expected_->lse, reals(lse_), shape_.heads, 1e-3));
    return findings;
  }

  kernels::Work work() const override {
    std::int64_t window_pairs = 0, window_entries = 0, hca_pairs = 0, hca_entries = 0;
    for (const Sequence& s : shape_.sequences) {
      for (int t = 0; t < s.tokens; ++t) {
        window_pairs += std::min(s.past + t + 1, kernels::kWindow);
        hca_pairs += kernels::visible_entries(s.past + t, 128);
      }
      window_entries += std::min(s.past, kernels::kWindow - 1) + s.tokens;
      hca_entries += kernels::visible_entries(s.past + s.tokens - 1, 128);
    }
    switch (shape_.kind) {
      case op::Kind::window:
        return kernels::attention_window::work({.queries = batch_.tokens,
                                                .heads = shape_.heads,
                                                .head_dim = kernels::kHeadDim,
                                                .pairs = window_pairs,
                                                .entries = window_entries,
                                                .entry_bytes = kEntryBytes});
      case op::Kind::csa:
        return kernels::attention_csa::work({.queries = batch_.tokens,
                                             .heads = shape_.heads,
                                             .head_dim = kernels::kHeadDim,
                                             .window_pairs = window_pairs,
                                             .selected_pairs = selected_pairs_,
                                             .window_entries = window_entries,
                                             .selected_entries = selected_distinct_,
                                             .entry_bytes = kEntryBytes});
      case op::Kind::hca:
        return kernels::attention_hca::work({.queries = batch_.tokens,
                                             .heads = shape_.heads,
                                             .head_dim = kernels::kHeadDim,
                                             .window_pairs = window_pairs,
                                             .compressed_pairs = hca_pairs,
                                             .window_entries = window_entries,
                                             .compressed_entries = hca_entries,
                                             .entry_bytes = kEntryBytes});
    }
    return {};
  }

 private:
  static constexpr std::int64_t kEntryBytes = kernels::kEntryDataBytes + kernels::kEntryScaleBytes;

  class Cache {
   public:
    Cache() = default;
    Cache(const std::vector<Visible>& visible, int pages_each, int page_entries, bool judged,
          std::uint64_t seed, std::mt19937_64& random)
        : page_entries_(page_entries), length_(pages_each) {
      Pages pages(static_cast<int>(visible.size()), pages_each, random);
      // One page at the end is no sequence's.
      bytes_ = Buffer<std::uint8_t>((static_cast<std::int64_t>(pages.table.size()) + 1) *
                                    kernels::kv_page_bytes(page_entries));
      fill_kv_pages(bytes_, kernels::kv_page_bytes(page_entries), page_entries, seed, -7);
      table_ = Buffer<std::int32_t>(std::move(pages.table));
      if (!judged) return;
      EntryBytes seen(bytes_.size());
      const kernels::KvPool pool = this->pool(Side::host);
      const kernels::PageTable table = this->pages(Side::host);
      for (std::size_t s = 0; s < visible.size(); ++s) {
        for (std::int64_t entry = visible[s].first; entry < visible[s].end; ++entry) {
          seen.add(pool, table.page(static_cast<int>(s), entry, page_entries),
                   static_cast<int>(entry % page_entries));
        }
      }
      seen.make_others_nan(bytes_);
    }
    kernels::KvPool pool(Side side) {
      return {bytes_.at(side), kernels::kv_page_bytes(page_entries_), page_entries_};
    }
    kernels::PageTable pages(Side side) { return {table_.at(side), length_, length_}; }

   private:
    int page_entries_ = 0, length_ = 0;
    Buffer<std::uint8_t> bytes_;
    Buffer<std::int32_t> table_;
  };

  Shape shape_;
  kernels::Batch batch_;
  std::int64_t q_stride_ = 0, selected_pairs_ = 0, selected_distinct_ = 0;
  Buffer<std::int32_t> positions_, sequence_of_, first_token_, selected_;
  Buffer<Bf16> q_, out_;
  Buffer<float> sink_, lse_;
  Cache window_, extra_;
  std::optional<op::Expected> expected_;
};

constexpr auto spec = case_of<AttentionCase, Shape>;

// One token of each of these positions, a sequence each.
std::vector<Sequence> decode(const std::vector<int>& positions) {
  std::vector<Sequence> sequences;
  for (const int position : positions) sequences.push_back({position, 1});
  return sequences;
}
std::vector<Sequence> decode(int sequences, int context) {
  return std::vector<Sequence>(static_cast<std::size_t>(sequences), {context - 1, 1});
}

constexpr auto kWindowOnly = op::Kind::window;
constexpr auto kCsa = op::Kind::csa;
constexpr auto kHca = op::Kind::hca;

std::vector<CaseSpec> check_cases() {
  const std::vector<int> edges = {0, 3, 63, 126, 127, 128, 129, 255, 256, 700};
  return {
      spec("window, decode at 0 and 129", {kWindowOnly, 64, decode({0, 129})}, true),
      spec("window, decode at edges, 128 heads", {kWindowOnly, 128, decode(edges)}),
      spec("window, one page, wrapping", {kWindowOnly, 64, {{250, 9}, {511, 2}}, 0, 0, 1}),
      spec("window, chunks, strided queries",
           {kWindowOnly, 128, {{0, 70}, {1000, 33}}, 0, 0, 2, 128 * 512 + 64}),
      spec("CSA, decode at 3 and 300", {kCsa, 64, decode({3, 300})}, true),
      spec("CSA, decode at edges, top 512", {kCsa, 64, decode(edges)}),
      spec("CSA, decode at edges, top 1024, 128 heads", {kCsa, 128, decode(edges), 1024}),
      spec("CSA, decode, full lists, 128 heads",
           {kCsa, 128, decode({5000, 4095, 4096, 9001, 20000}), 1024}),
      spec("CSA, 40 sequences, full lists", {kCsa, 64, decode(40, 3000)}),
      spec("CSA, 100 of 512 selected", {kCsa, 64, {{5000, 3}, {2047, 2}}, 512, 100}),
      spec("CSA, nothing selected", {kCsa, 128, decode({5000, 17}), 512, 0}),
      spec("CSA, chunk after past, top 512", {kCsa, 64, {{1900, 40}, {0, 37}}}),
      spec("CSA, chunk after past, top 1024, 128 heads", {kCsa, 128, {{4500, 17}, {3, 9}}, 1024}),
      spec("CSA, chunk of 30, 100 of 1024 selected, 128 heads",
           {kCsa, 128, {{5000, 30}}, 1024, 100}),
      spec("HCA, chunks of odd lengths", {kHca, 64, {{5000, 33}, {12345, 1}, {100, 31}, {0, 47}}}),
      spec("HCA, decode at 126 and 300", {kHca, 64, decode({126, 300})}, true),
      spec("HCA, decode at edges, 128 heads", {kHca, 128, decode(edges)}),
      spec("HCA, decode at 64k and less", {kHca, 64, decode({65535, 40000, 65534, 12345, 127})}),
      spec("HCA, two tokens each, 128 heads", {kHca, 128, {{254, 2}, {30000, 2}, {16383, 2}}}),
      spec("HCA, 150 sequences", {kHca, 64, decode(150, 1024)}),
      spec("HCA, chunk from 0", {kHca, 64, {{0, 300}}}),
      spec("HCA, chunks after past, 128 heads", {kHca, 128, {{20000, 20}, {100, 90}}}),
  };
}

std::vector<CaseSpec> bench_cases() {
  const std::string vllm = ", AIC-data h100_sxm vllm 0.24.0 dsv4_hca_attn, warm L2";
  const auto tflops = [](double first_rung, double to_beat, const std::string& source) {
    return Goal{first_rung, to_beat, "TFLOP/s", "published", source};
  };
  const auto latency = [&](double to_beat, const std::string& shape) {
    return Goal{2 * to_beat, to_beat, "us", "published", shape + vllm, false};
  };
  return {
      spec("Pro CSA decode, 128 x 1, context 8k", {kCsa, 128, decode(128, 8192), 1024}, false,
           tflops(200, 410, "FlashMLA sparse decode, V3.2 b128 h128 sq2 topk 2048, H800")),
      spec("Flash CSA decode, 128 x 1, context 8k", {kCsa, 64, decode(128, 8192), 512}, false,
           {60, 0, "% HBM", "estimated", "share of the measured read rate", true}),
      spec("Pro CSA decode, 1 x 1, context 64k", {kCsa, 128, decode(1, 65536), 1024}),
      spec("Flash HCA decode, 1 x 1, context 1k", {kHca, 64, decode(1, 1024)}, false,
           latency(13.8, "b1 n=1k, H100")),
      spec("Flash HCA decode, 1 x 1, context 64k", {kHca, 64, decode(1, 65536)}, false,
           latency(15.4, "b1 n=64k, H100")),
      spec("Flash HCA decode, 1 x 1, context 1M", {kHca, 64, decode(1, 1 << 20)}, false,
           latency(30.8, "b1 n=1M, H100")),
      spec("Flash HCA decode, 128 x 1, context 1k", {kHca, 64, decode(128, 1024)}, false,
           latency(19.0, "b128 n=1k, H100")),
      spec("Pro HCA decode, 128 x 1, context 64k", {kHca, 128, decode(128, 65536)}),
      spec("Flash window decode, 128 x 1", {kWindowOnly, 64, decode(128, 1024)}),
      spec("Pro CSA prefill, 4096 after 8192", {kCsa, 128, {{8192, 4096}}, 1024}, false,
           tflops(300, 640, "FlashMLA sparse prefill, H800")),
      spec("Flash CSA prefill, 4096 after 8192", {kCsa, 64, {{8192, 4096}}, 512}),
      spec("Flash HCA prefill, 8192 after 64k", {kHca, 64, {{65536, 8192}}}, false,
           latency(1515, "prefill 8192 past 64k, 64 heads, H100")),
      spec("Flash HCA prefill, 8192 after 512k", {kHca, 64, {{524288, 8192}}}, false,
           tflops(300, 633, "prefill 8192 past 512k, 64 heads, 7216 us, H100" + vllm)),
  };
}

const RegisterSuite kSuite{
    Suite{.name = "attention", .check = check_cases(), .bench = bench_cases()}};

// One family for decode and one for prefill of each kind.
calibrate::OperatorGrid grid(op::Kind kind, const char* name, bool is_decode) {
  using calibrate::Point, calibrate::Rank;
  calibrate::OperatorGrid g;
  g.name = fmt::format("kernel_attention_{}_{}", name, is_decode ? "decode" : "prefill");
  g.covers = {fmt::format("attention_{}", name)};
  g.axes = {{is_decode ? "batch" : "new", is_decode ? "rows" : "tokens"}, {"past", "tokens"}};
  g.note = "attention alone, with the heads of this rank padded to what the kernels take";
  if (kind == kCsa) g.note += "; the selected entries lie anywhere in the past";
  g.points = [kind, is_decode](const Rank&, calibrate::GridSize size) {
    std::vector<Point> points;
    const auto add = [&](int first, int past) {
      points.push_back({{}, {static_cast<double>(first), static_cast<double>(past)}});
    };
    if (is_decode) {
      for (const auto& p : calibrate::decode_grid(size, std::int64_t{1} << 23)) {
        if (kind != kWindowOnly || p.context <= 1024) add(p.batch, p.context - 1);
      }
    } else {
      for (const auto& p : calibrate::prefill_grid(size)) {
        if (kind != kWindowOnly || p.past <= 16384) add(p.fresh, p.past);
      }
    }
    return points;
  };
  g.make = [kind, is_decode](const Rank& rank, const Point& point) -> std::unique_ptr<Case> {
    const auto first = static_cast<int>(point.at[0]), past = static_cast<int>(point.at[1]);
    Shape shape;
    shape.kind = kind;
    shape.heads = calibrate::padded_heads(rank);
    shape.top_k = static_cast<int>(rank.model.indexer.top_k);
    shape.sequences = is_decode ? decode(first, past + 1) : std::vector<Sequence>{{past, first}};
    shape.judged = false;
    return std::make_unique<AttentionCase>(shape, 1);
  };
  g.cost.point_s = 0.15;
  return g;
}

const calibrate::RegisterGrid kGrids[] = {
    calibrate::RegisterGrid{grid(kCsa, "csa", true)},
    calibrate::RegisterGrid{grid(kCsa, "csa", false)},
    calibrate::RegisterGrid{grid(kHca, "hca", true)},
    calibrate::RegisterGrid{grid(kHca, "hca", false)},
    calibrate::RegisterGrid{grid(kWindowOnly, "window", true)},
    calibrate::RegisterGrid{grid(kWindowOnly, "window", false)},
};

}  // namespace
}  // namespace v4cap::exec
