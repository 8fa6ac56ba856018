// Scores of the lightning indexer: decode of one and of many sequences, chunks of a prefill behind
// a long past, FP8 and FP4 keys. Keys of a sequence lie in pages all over the pool; what no token
// can see of it is NaN.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/entry_operands.h"
#include "exec/suites/operands.h"
#include "kernels/indexer_scores/indexer_scores.h"

namespace v4cap::exec {
namespace {

namespace op = kernels::indexer_scores;
using kernels::KeyFormat;

struct Span {
  int past = 0, fresh = 1;  // tokens of a sequence before this step and in it
};

struct Shape {
  std::vector<Span> sequences;
  KeyFormat format = KeyFormat::fp8;
  bool judged = true;  // false: only timed, and what no token can see is left as numbers
};

constexpr int kRatio = 4;

class IndexerScoresCase : public OperatorCase<op::Args> {
 public:
  IndexerScoresCase(const Shape& shape, std::uint64_t seed) : shape_(shape) {
    std::vector<std::int32_t> positions, sequence_of, first_token{0};
    int pages = 0;
    for (const Span& s : shape.sequences) {
      for (int i = 0; i < s.fresh; ++i) {
        positions.push_back(s.past + i);
        sequence_of.push_back(static_cast<std::int32_t>(first_token.size()) - 1);
        visible_.push_back(static_cast<std::int32_t>((s.past + i + 1) / kRatio));
      }
      first_token.push_back(static_cast<std::int32_t>(positions.size()));
      max_new_tokens_ = std::max(max_new_tokens_, s.fresh);
      max_context_ = std::max(max_context_, s.past + s.fresh);
      table_stride_ = std::max(table_stride_, pages_of(s));
      pages += pages_of(s);
    }
    tokens_ = static_cast<int>(positions.size());
    most_ = *std::max_element(visible_.begin(), visible_.end());
    score_stride_ = std::max((most_ + 3) / 4 * 4, 4);
    positions_ = Buffer<std::int32_t>(positions);
    sequence_of_ = Buffer<std::int32_t>(sequence_of);
    first_token_ = Buffer<std::int32_t>(first_token);

    // Pages are dealt out in an order without pattern; what no sequence has is out of bounds.
    const int pool = pages + 3;
    std::vector<std::int32_t> order(static_cast<std::size_t>(pool));
    std::iota(order.begin(), order.end(), 0);
    std::uint64_t state = seed | 1;
    for (std::size_t i = order.size() - 1; i > 0; --i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      std::swap(order[i], order[(state >> 33) % (i + 1)]);
    }
    std::vector<std::int32_t> table(
        shape.sequences.size() * static_cast<std::size_t>(table_stride_), 0x7f7f7f7f);
    std::size_t next = 0;
    for (std::size_t s = 0; s < shape.sequences.size(); ++s) {
      for (int p = 0; p < pages_of(shape.sequences[s]); ++p) {
        table[s * static_cast<std::size_t>(table_stride_) + static_cast<std::size_t>(p)] =
            order[next++];
      }
    }
    table_ = Buffer<std::int32_t>(table);

    const bool fp8 = shape.format == KeyFormat::fp8;
    const kernels::KeyPool geometry{nullptr, shape.format};
    pool_ = Buffer<std::uint8_t>(pool * geometry.page_bytes());
    q_codes_ = Buffer<std::uint8_t>(std::int64_t{tokens_} * 64 * (fp8 ? 128 : 64));
    q_scales_ = Buffer<std::uint8_t>(fp8 ? 0 : std::int64_t{tokens_} * 64 * 4);
    weights_ = Buffer<float>(std::int64_t{tokens_} * 64);
    scores_ = Buffer<float>(std::int64_t{tokens_} * score_stride_);
    if (fp8) {
      fill_fp8_key_pages(pool_, seed + 1);
      fill_e4m3(q_codes_, seed + 2, 100.0f);
    } else {
      fill_fp4_key_pages(pool_, seed + 1);
      fill_bytes(q_codes_, seed + 2);
      fill_bytes(q_scales_, seed + 3, 123, 128);
    }
    // Of either sign, but mostly positive: the heads of a row with one key must not cancel out.
    fill_normal(weights_, seed + 4, 1e-3f, 1e-3f);
    if (!shape.judged) return;
    EntryBytes seen(pool_.size());
    const kernels::KeyPool keys{pool_.at(Side::host), shape.format};
    const kernels::PageTable pages_of_all{table_.at(Side::host), table_stride_, table_stride_};
    for (std::size_t s = 0; s < shape.sequences.size(); ++s) {
      const Span& span = shape.sequences[s];
      for (int key = 0; key < (span.past + span.fresh) / kRatio; ++key) {
        seen.add(keys, pages_of_all.page(static_cast<int>(s), key, kernels::kKeysPerPage),
                 key % kernels::kKeysPerPage);
      }
    }
    seen.make_others_nan(pool_);
  }

  op::Args args(Side side) override {
    return {.batch = {.tokens = tokens_,
                      .sequences = static_cast<int>(shape_.sequences.size()),
                      .max_new_tokens = max_new_tokens_,
                      .max_context = max_context_,
                      .positions = positions_.at(side),
                      .sequence_of = sequence_of_.at(side),
                      .first_token = first_token_.at(side)},
            .q_codes = q_codes_.at(side),
            .q_scales = shape_.format == KeyFormat::fp4 ? q_scales_.at(side) : nullptr,
            .weights = weights_.at(side),
            .keys = {pool_.at(side), shape_.format},
            .pages = {table_.at(side), table_stride_, table_stride_},
            .compress_ratio = kRatio,
            .scores = scores_.at(side),
            .score_stride = score_stride_};
  }

  void reset() override { scores_.poison(); }

  std::vector<Finding> judge() override {
    if (expected_.empty()) expected_ = op::reference(args(Side::host));
    const std::vector<float>& scores = scores_.host();
    std::vector<double> expected(scores.size()), got(scores.size());
    std::int64_t beyond = 0;
    for (int t = 0; t < tokens_; ++t) {
      for (int j = 0; j < score_stride_; ++j) {
        const auto at = static_cast<std::size_t>(t) * static_cast<std::size_t>(score_stride_) +
                        static_cast<std::size_t>(j);
        if (j < visible_[static_cast<std::size_t>(t)]) {
          expected[at] = expected_[at];
          got[at] = static_cast<double>(scores[at]);
        } else if (std::bit_cast<std::uint32_t>(scores[at]) != 0x7f7f7f7fu) {
          ++beyond;
        }
      }
    }
    auto findings = compare("scores", expected, got, score_stride_, 1e-3);
    findings.push_back({"written beyond the visible keys", static_cast<double>(beyond), 0});
    return findings;
  }

  kernels::Work work() const override {
    std::int64_t pairs = 0, keys = 0;
    for (const std::int32_t v : visible_) pairs += v;
    for (const Span& s : shape_.sequences) keys += (s.past + s.fresh) / kRatio;
    const bool fp8 = shape_.format == KeyFormat::fp8;
    return op::work({.pairs = pairs,
                     .keys = keys,
                     .heads = 64,
                     .head_dim = 128,
                     .key_bytes = fp8 ? 132 : 68,
                     .precision = kernels::Precision::fp8});
  }

 private:
  static int pages_of(const Span& s) { return ((s.past + s.fresh) / kRatio + 63) / 64; }

  Shape shape_;
  int tokens_ = 0, max_new_tokens_ = 0, max_context_ = 0, table_stride_ = 1, most_ = 0;
  std::int64_t score_stride_ = 0;
  std::vector<std::int32_t> visible_;
  Buffer<std::int32_t> positions_, sequence_of_, first_token_, table_;
  Buffer<std::uint8_t> pool_, q_codes_, q_scales_;
  Buffer<float> weights_, scores_;
  std::vector<double> expected_;
};

constexpr auto spec = case_of<IndexerScoresCase, Shape>;

std::vector<Span> decode(int sequences, int context) {
  return std::vector<Span>(static_cast<std::size_t>(sequences), {context - 1, 1});
}

std::vector<Span> one_long(int sequences, int context, int longest) {
  std::vector<Span> all = decode(sequences, context);
  all.push_back({longest - 1, 1});
  return all;
}

Suite suite() {
  Suite s{.name = "indexer_scores"};
  for (const KeyFormat format : {KeyFormat::fp8, KeyFormat::fp4}) {
    const char* keys = format == KeyFormat::fp8 ? "fp8" : "fp4";
    const auto add = [&](const char* what, const std::vector<Span>& sequences, bool small = false) {
      s.check.push_back(spec(fmt::format("{}, {}", keys, what), {sequences, format}, small));
    };
    add("decode, 3 of 5, 300 and 2 tokens", {{4, 1}, {299, 1}, {1, 1}}, true);
    add("prefill of 9 tokens from 0", {{0, 9}}, true);
    add("prefill of 37 behind 250, page boundary inside", {{250, 37}}, true);
    add("decode of 20,000 and 3", {{19999, 1}, {2, 1}});
    add("two tokens each of 5 sequences", {{254, 2}, {4095, 2}, {700, 2}, {255, 2}, {5, 2}});
    add("chunks of 3 sequences beside 4 in decode",
        {{1000, 1}, {777, 1}, {0, 45}, {515, 70}, {64, 1}, {1023, 1}, {2001, 19}});
    add("prefill of 130 behind 3000", {{3000, 130}});
    add("decode of one long among short ones",
        {{2, 1}, {700, 1}, {60000, 1}, {5, 1}, {0, 1}, {255, 1}, {256, 1}, {3000, 1}});
    std::vector<Span> many;  // more than blocks; some see no key
    for (int i = 0; i < 300; ++i) many.push_back({i * i % 1201, 1});
    add("decode of 300", many);
  }
  const std::string source =
      "AIC-data sglang, H100, warm: prefill of 8192 past 64k-512k; facts 5.2";
  s.bench = {
      spec("fp8, decode 1 x 1M", {decode(1, 1 << 20)}, false,
           {20, 10.3, "us", "published", "AIC-data sglang paged_mqa_logits, H100, warm, b1 1M"}),
      spec("fp8, decode 1 x 64k", {decode(1, 1 << 16)}),
      spec("fp8, decode 64 x 16k", {decode(64, 1 << 14)}),
      spec("fp8, decode 128 x 16k", {decode(128, 1 << 14)}),
      spec("fp8, decode 63 x 2k beside 1 x 128k", {one_long(63, 1 << 11, 1 << 17)}),
      spec("fp8, prefill 8192 past 0", {{{0, 8192}}}),
      spec("fp8, prefill 2048 past 512k", {{{1 << 19, 2048}}}, false,
           {400, 845, "TFLOP/s", "published", source}),
      spec("fp4, decode 1 x 1M", {decode(1, 1 << 20), KeyFormat::fp4}),
      spec("fp4, prefill 2048 past 128k", {{{1 << 17, 2048}}, KeyFormat::fp4}),
  };
  return s;
}

const RegisterSuite kSuite{suite()};

calibrate::OperatorGrid grid(bool is_decode) {
  using calibrate::Point, calibrate::Rank;
  calibrate::OperatorGrid g;
  g.name = is_decode ? "kernel_indexer_scores_decode" : "kernel_indexer_scores_prefill";
  g.covers = {"indexer_scores"};
  g.axes = {{is_decode ? "batch" : "new", is_decode ? "rows" : "tokens"}, {"past", "tokens"}};
  g.note = "FP8 keys";
  g.points = [is_decode](const Rank&, calibrate::GridSize size) {
    std::vector<Point> points;
    const auto add = [&](int first, int past) {
      points.push_back({{}, {static_cast<double>(first), static_cast<double>(past)}});
    };
    if (is_decode) {
      for (const auto& p : calibrate::decode_grid(size, std::int64_t{1} << 24)) {
        add(p.batch, p.context - 1);
      }
    } else {
      for (const auto& p : calibrate::prefill_grid(size)) add(p.fresh, p.past);
    }
    return points;
  };
  g.make = [is_decode](const Rank&, const Point& point) -> std::unique_ptr<Case> {
    const auto first = static_cast<int>(point.at[0]), past = static_cast<int>(point.at[1]);
    Shape shape{is_decode ? decode(first, past + 1) : std::vector<Span>{{past, first}}};
    shape.judged = false;
    return std::make_unique<IndexerScoresCase>(shape, 1);
  };
  return g;
}

const calibrate::RegisterGrid kDecodeGrid{grid(true)}, kPrefillGrid{grid(false)};

}  // namespace
}  // namespace v4cap::exec
