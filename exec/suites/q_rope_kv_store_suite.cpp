// Query norm and RoPE, KV entry into the window, at the heads of V4-Pro (128), V4-Flash (64) and a
// tensor-parallel rank of Pro (16).
#include <fmt/format.h>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/suite.h"
#include "exec/suites/entry_operands.h"
#include "exec/suites/operands.h"
#include "kernels/q_rope_kv_store/launch.h"
#include "kernels/q_rope_kv_store/q_rope_kv_store.h"
#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
using kernels::kHeadDim;
namespace op = kernels::q_rope_kv_store;

struct Shape {
  int heads = 0;
  std::vector<Part> parts;
  int page_entries = 256, ring_pages = 2;
  int gap = 0;  // channels between the rows of q, and between those of kv
};

class QRopeKvStoreCase : public OperatorCase<op::Args> {
 public:
  QRopeKvStoreCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        batch_(shape.parts),
        rope_(rope_operand(batch_)),
        q_(batch_.tokens() * q_stride()),
        kv_(batch_.tokens() * kv_stride()),
        weight_(kHeadDim),
        table_(batch_.sequences(), shape.ring_pages),
        window_(table_.total() * kernels::kv_page_bytes(shape.page_entries)) {
    fill_normal(q_.original(), seed, 2.0f);
    fill_normal(kv_, seed + 1, 3.0f);
    fill_normal(weight_, seed + 2, 0.2f, 1.0f);
  }

  op::Args args(Side side) override {
    return {.batch = batch_.at(side),
            .heads = shape_.heads,
            .q = q_.at(side),
            .q_stride = q_stride(),
            .kv = kv_.at(side),
            .kv_stride = kv_stride(),
            .kv_weight = weight_.at(side),
            .rope = rope_.at(side),
            .window = {window_.at(side), kernels::kv_page_bytes(shape_.page_entries),
                       shape_.page_entries},
            .window_pages = table_.at(side)};
  }

  void reset() override {
    q_.reset();
    window_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Args args = this->args(Side::host);
    const op::Expected expected = op::reference(args);
    std::vector<double> q, kv, kept;
    const std::vector<Bf16>& rows = q_.copy().host();
    const std::vector<Bf16>& rows_before = q_.original().host();
    std::int64_t gap_changed = 0;
    for (int t = 0; t < batch_.tokens(); ++t) {
      for (int c = 0; c < q_stride(); ++c) {
        const auto at = static_cast<std::size_t>(t * q_stride() + c);
        if (c < shape_.heads * kHeadDim) {
          q.push_back(kernels::real(rows[at]));
        } else {
          gap_changed += rows[at].bits != rows_before[at].bits ? 1 : 0;
        }
      }
    }
    EntryBytes written(window_.size());
    for (int t = 0; t < batch_.tokens(); ++t) {
      const int sequence = args.batch.sequence_of[t], position = args.batch.positions[t];
      if (t + op::ring_entries(args) < args.batch.first_token[sequence + 1]) continue;
      const std::int64_t page = args.window_pages.page(sequence, position, shape_.page_entries);
      double entry[kHeadDim];
      kernels::read_entry(args.window, page, position % shape_.page_entries, entry);
      written.add(args.window, page, position % shape_.page_entries);
      kv.insert(kv.end(), entry, entry + kHeadDim);
      const double* row = expected.kv.data() + std::int64_t{t} * kHeadDim;
      kept.insert(kept.end(), row, row + kHeadDim);
    }
    // bf16 rounds by 2^-8 of a number at most, 1.7e-3 in the mean square; rotated channels are
    // rounded twice.
    std::vector<Finding> findings = compare("q", expected.q, q, kHeadDim, 3e-3);
    append(findings, compare("kv entries", kept, kv, kHeadDim, 1e-2));
    findings.push_back(
        {"channels between rows of q, changed", static_cast<double>(gap_changed), 0});
    findings.push_back(written.others_untouched(window_));
    return findings;
  }

  kernels::Work work() const override {
    return op::work({.tokens = batch_.tokens(),
                     .heads = shape_.heads,
                     .head_dim = kHeadDim,
                     .kv_dim = kHeadDim,
                     .entry_bytes = kernels::kEntryDataBytes + kernels::kEntryScaleBytes});
  }

 private:
  std::int64_t q_stride() const { return std::int64_t{shape_.heads} * kHeadDim + shape_.gap; }
  std::int64_t kv_stride() const { return kHeadDim + 3 * shape_.gap; }

  Shape shape_;
  BatchOperand batch_;
  Buffer<float> rope_;
  ChangedInPlace<Bf16> q_;
  Buffer<Bf16> kv_;
  Buffer<float> weight_;
  PagesOperand table_;
  Buffer<std::uint8_t> window_;
};

constexpr auto spec = case_of<QRopeKvStoreCase, Shape>;

Suite suite() {
  Suite s{.name = "q_rope_kv_store"};
  s.check = {
      spec("1 token, 1 head, position 0", {1, {{0, 1}}}, true),
      spec("3 sequences over page and ring ends",
           {3, {{255, 2}, {511, 1}, {1000, 40}}, 256, 2, 512}, true),
      spec("128 heads, decode at 5 positions", {128, decode_parts(5, 126, 251)}),
      spec("16 heads, chunk longer than its ring", {16, {{7, 1}, {100, 300}, {0, 1}}, 64, 3}),
      spec("no heads, 9 entries at 100000", {0, {{100000, 9}}}),
  };
  const std::string source = "1 token, 64 heads, H800, L2 state not said (FlagGems PR 3327: vLLM)";
  for (const int heads : {64, 128}) {
    const std::string model = heads == 64 ? "Flash" : "Pro";
    Goal goal;
    if (heads == 64) goal = {10, 7.0, "us", "published", source};
    s.bench.push_back(
        spec(fmt::format("{} decode, 1 token", model), {heads, {{4100, 1}}}, false, goal));
    s.bench.push_back(
        spec(fmt::format("{} decode, 128 tokens", model), {heads, decode_parts(128, 4100)}));
    s.bench.push_back(spec(fmt::format("{} prefill, 8192 tokens", model),
                           {heads, {{0, 8192}}, 256, 33}, false,
                           {80, 95, "% HBM", "estimated", "a copy of its operands"}));
  }
  return s;
}

const RegisterSuite kSuite{suite()};

const calibrate::RegisterGrid kGrid{
    {.name = "kernel_q_rope_kv_store",
     .covers = {"q_rope_kv_store"},
     .keys = {"phase"},
     .axes = {{"tokens", "tokens"}},
     .note = "decode: one token of each sequence; prefill: one chunk after 8192 tokens",
     .points =
         [](const calibrate::Rank&, calibrate::GridSize size) {
           std::vector<calibrate::Point> points;
           for (const char* key : {"decode", "prefill"}) {
             for (const int tokens : calibrate::token_grid(size, 8192)) {
               points.push_back({{key}, {static_cast<double>(tokens)}});
             }
           }
           return points;
         },
     .make = [](const calibrate::Rank& rank,
                const calibrate::Point& point) -> std::unique_ptr<Case> {
       const auto tokens = static_cast<int>(point.at[0]);
       const bool decode = point.keys[0] == "decode";
       const std::vector<Part> parts =
           decode ? decode_parts(tokens, 4100) : std::vector<Part>{{8192, tokens}};
       const int ring = decode ? 2 : tokens / 256 + 2;
       return std::make_unique<QRopeKvStoreCase>(
           Shape{calibrate::local_heads(rank), parts, 256, ring}, 1);
     }}};

}  // namespace
}  // namespace v4cap::exec
