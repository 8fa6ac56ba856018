// CSA compressor: main entries (512 channels) and indexer keys (128), the same in V4-Pro and
// V4-Flash. Sequences stand in all phases of a block of 4, chunks begin and end anywhere.
#include <fmt/format.h>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/suite.h"
#include "exec/suites/entry_operands.h"
#include "exec/suites/operands.h"
#include "kernels/compressor_csa/compressor_csa.h"
#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

using kernels::KeyFormat;
using kernels::kHeadDim;
using kernels::kIndexDim;
using kernels::kKeysPerPage;
namespace op = kernels::compressor_csa;

struct Shape {
  int head_dim = 0;
  std::vector<Part> parts;
  KeyFormat format = KeyFormat::fp8;
  float scale = 2;  // of u and g
};

constexpr int kPageEntries = kernels::kTokensPerPage / op::kRatio;
static_assert(kPageEntries == kKeysPerPage);

class CompressorCsaCase : public OperatorCase<op::Args> {
 public:
  CompressorCsaCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        batch_(shape.parts),
        rope_(rope_operand(batch_)),
        ug_(batch_.tokens() * stride()),
        ape_(op::kRatio * 2 * shape.head_dim),
        weight_(shape.head_dim),
        slots_(state_slots(batch_.sequences())),
        state_((batch_.sequences() + 1) * std::int64_t{op::kRing} * 4 * shape.head_dim),
        table_(batch_.sequences(), batch_.max_context() / kernels::kTokensPerPage + 1),
        pool_(table_.total() * page_bytes()) {
    fill_normal(ug_, seed, shape.scale);
    fill_normal(ape_, seed + 1, 0.5f);
    fill_normal(weight_, seed + 2, 0.2f, 1.0f);
    fill_normal(state_.original(), seed + 3, shape.scale);
  }

  op::Args args(Side side) override {
    op::Args args{.batch = batch_.at(side),
                  .head_dim = shape_.head_dim,
                  .ug = ug_.at(side),
                  .ug_stride = stride(),
                  .ape = ape_.at(side),
                  .state = state_.at(side),
                  .state_slot = slots_.at(side),
                  .norm_weight = weight_.at(side),
                  .rope = rope_.at(side),
                  .pages = table_.at(side)};
    if (is_main()) {
      args.entries = {pool_.at(side), page_bytes(), kPageEntries};
    } else {
      args.keys = {pool_.at(side), shape_.format};
    }
    return args;
  }

  void reset() override {
    state_.reset();
    pool_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Args args = this->args(Side::host);
    const op::Expected expected = op::reference(args);
    std::vector<double> stored;
    EntryBytes written(pool_.size());
    for (int t = 0; t < batch_.tokens(); ++t) {
      const int position = args.batch.positions[t];
      if ((position + 1) % op::kRatio != 0) continue;
      const int entry = position / op::kRatio;
      const auto page = args.pages.page(args.batch.sequence_of[t], entry, kPageEntries);
      double row[kHeadDim];
      if (is_main()) {
        kernels::read_entry(args.entries, page, entry % kPageEntries, row);
        written.add(args.entries, page, entry % kPageEntries);
      } else {
        kernels::read_key(args.keys, page, entry % kPageEntries, row);
        written.add(args.keys, page, entry % kPageEntries);
      }
      stored.insert(stored.end(), row, row + shape_.head_dim);
    }
    std::vector<Finding> findings =
        compare("stored", expected.stored, stored, shape_.head_dim, is_main() ? 1e-2 : 2e-2);
    append(findings,
           compare("state", expected.state, reals(state_.copy()), 4 * shape_.head_dim, 1e-7));
    findings.push_back(written.others_untouched(pool_));
    return findings;
  }

  // The projections are another operator; what is left moves rows, state and entries.
  kernels::Work work() const override {
    auto w = op::work({.tokens = batch_.tokens(),
                       .emitted = batch_.emitted(op::kRatio),
                       .head_dim = shape_.head_dim,
                       .entry_bytes = entry_bytes()});
    double rows = batch_.tokens();
    for (const Part& p : batch_.parts()) {
      rows += std::min(p.tokens, op::kRing);
      for (int i = op::kRatio - 1 - p.start % op::kRatio; i < p.tokens; i += op::kRatio) {
        // Half of the channels of each row of before this step.
        rows += 0.5 * std::clamp(op::kRing - 1 - i, 0, std::min(p.start, op::kRing));
      }
    }
    w.activation_bytes = rows * 4 * 4 * shape_.head_dim;
    return w;
  }

 private:
  bool is_main() const { return shape_.head_dim == kHeadDim; }
  std::int64_t stride() const { return 4 * shape_.head_dim + 64; }
  std::int64_t entry_bytes() const {
    if (is_main()) return kernels::kEntryDataBytes + kernels::kEntryScaleBytes;
    return kernels::KeyPool{nullptr, shape_.format}.code_bytes() + 4;
  }
  std::int64_t page_bytes() const {
    return is_main() ? kernels::kv_page_bytes(kPageEntries)
                     : kernels::KeyPool{nullptr, shape_.format}.page_bytes();
  }

  Shape shape_;
  BatchOperand batch_;
  Buffer<float> rope_, ug_, ape_, weight_;
  Buffer<std::int32_t> slots_;
  ChangedInPlace<float> state_;
  PagesOperand table_;
  Buffer<std::uint8_t> pool_;
};

constexpr auto spec = case_of<CompressorCsaCase, Shape>;

const std::string kSource =
    "H100, cold: 1.5 and 1.15 times what reading the rows and launching nothing take";

Suite suite() {
  Suite s{.name = "compressor_csa"};
  const std::vector<Part> first_steps{{0, 1}, {0, 3}, {0, 4}, {0, 5}, {1, 3}, {3, 1},
                                      {3, 5}, {0, 8}, {4, 4}, {7, 1}, {2, 6}};
  const std::vector<Part> odd_chunks{{1021, 1}, {255, 2},   {509, 7},   {6, 130}, {1022, 3},
                                     {0, 61},   {4095, 1},  {300, 9},   {77, 8},  {13, 11},
                                     {2000, 4}, {1000, 10}, {2047, 257}};
  for (const int width : {kHeadDim, kIndexDim}) {
    for (const KeyFormat format : {KeyFormat::fp8, KeyFormat::fp4}) {
      if (width == kHeadDim && format == KeyFormat::fp4) continue;
      const std::string name = width == kHeadDim          ? "entries"
                               : format == KeyFormat::fp8 ? "FP8 keys"
                                                          : "FP4 keys";
      s.check.push_back(
          spec(name + ", first steps of 11 sequences", {width, first_steps, format}, true));
      s.check.push_back(spec(name + ", decode in all phases",
                             {width, decode_parts(9, 1017), format}, width == kIndexDim));
      s.check.push_back(spec(name + ", 13 chunks in all phases", {width, odd_chunks, format}));
    }
  }
  s.check.push_back(spec("entries, steep softmax", {kHeadDim, odd_chunks, KeyFormat::fp8, 40}));
  for (const int width : {kHeadDim, kIndexDim}) {
    const std::string name = width == kHeadDim ? "entries" : "FP8 keys";
    s.bench.push_back(spec(name + ", decode 1, emits", {width, {{4099, 1}}}));
    s.bench.push_back(spec(name + ", decode 128, 32 emit", {width, decode_parts(128, 4096)}));
    const Goal goal = width == kHeadDim ? Goal{38, 29, "us", "estimated", kSource}
                                        : Goal{13, 10, "us", "estimated", kSource};
    s.bench.push_back(spec(name + ", prefill 8192", {width, {{8192, 8192}}}, false, goal));
  }
  return s;
}

const RegisterSuite kSuite{suite()};

const calibrate::RegisterGrid kGrid{
    {.name = "kernel_compressor_csa",
     .covers = {"compressor_csa"},
     .keys = {"part", "phase"},
     .axes = {{"tokens", "tokens"}},
     .note = "entries, or indexer keys in FP8; decode: one token of each sequence; prefill: one "
             "chunk after 8192 tokens",
     .points =
         [](const calibrate::Rank&, calibrate::GridSize size) {
           std::vector<calibrate::Point> points;
           for (const char* part : {"entries", "keys"}) {
             for (const char* phase : {"decode", "prefill"}) {
               for (const int tokens : calibrate::token_grid(size, 8192)) {
                 points.push_back({{part, phase}, {static_cast<double>(tokens)}});
               }
             }
           }
           return points;
         },
     .make = [](const calibrate::Rank&, const calibrate::Point& point) -> std::unique_ptr<Case> {
       const auto tokens = static_cast<int>(point.at[0]);
       const bool decode = point.keys[1] == "decode";
       const std::vector<Part> parts =
           decode ? decode_parts(tokens, 4096) : std::vector<Part>{{8192, tokens}};
       return std::make_unique<CompressorCsaCase>(
           Shape{point.keys[0] == "entries" ? kHeadDim : kIndexDim, parts}, 1);
     }}};

}  // namespace
}  // namespace v4cap::exec
