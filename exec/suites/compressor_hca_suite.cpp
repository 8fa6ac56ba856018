// HCA compressor, both forms of the state, the same in V4-Pro and V4-Flash. Sequences stand
// anywhere in their block of 128, chunks begin and end anywhere.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/suite.h"
#include "exec/suites/entry_operands.h"
#include "exec/suites/operands.h"
#include "kernels/compressor_hca/compressor_hca.h"
#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

using kernels::kHeadDim;
namespace op = kernels::compressor_hca;
using op::StateForm;

struct Shape {
  StateForm form = StateForm::online;
  std::vector<Part> parts;
  float scale = 2;  // of u and g
};

constexpr int kPageEntries = kernels::kTokensPerPage / op::kRatio;

class CompressorHcaCase : public OperatorCase<op::Args> {
 public:
  CompressorHcaCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        batch_(shape.parts),
        rope_(rope_operand(batch_)),
        ug_(batch_.tokens() * kStride),
        ape_(op::kRatio * kHeadDim),
        weight_(kHeadDim),
        slots_(state_slots(batch_.sequences())),
        state_((batch_.sequences() + 1) * slot_floats()),
        table_(batch_.sequences(), batch_.max_context() / kernels::kTokensPerPage + 1),
        pool_(table_.total() * kernels::kv_page_bytes(kPageEntries)) {
    fill_normal(ug_, seed, shape.scale);
    fill_normal(ape_, seed + 1, 0.5f);
    fill_normal(weight_, seed + 2, 0.2f, 1.0f);
    fill_normal(state_.original(), seed + 3, shape.scale);
    if (shape.form == StateForm::online) make_running_state();
  }

  op::Args args(Side side) override {
    return {.batch = batch_.at(side),
            .ug = ug_.at(side),
            .ug_stride = kStride,
            .ape = ape_.at(side),
            .form = shape_.form,
            .state = state_.at(side),
            .state_slot = slots_.at(side),
            .norm_weight = weight_.at(side),
            .rope = rope_.at(side),
            .entries = {pool_.at(side), kernels::kv_page_bytes(kPageEntries), kPageEntries},
            .pages = table_.at(side)};
  }

  void reset() override {
    state_.reset();
    pool_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Args args = this->args(Side::host);
    op::Expected expected = op::reference(args);
    std::vector<double> stored;
    EntryBytes written(pool_.size());
    for (int t = 0; t < batch_.tokens(); ++t) {
      const int position = args.batch.positions[t];
      if ((position + 1) % op::kRatio != 0) continue;
      const int entry = position / op::kRatio;
      const auto page = args.pages.page(args.batch.sequence_of[t], entry, kPageEntries);
      double row[kHeadDim];
      kernels::read_entry(args.entries, page, entry % kPageEntries, row);
      written.add(args.entries, page, entry % kPageEntries);
      stored.insert(stored.end(), row, row + kHeadDim);
    }
    std::vector<Finding> findings = compare("stored", expected.stored, stored, kHeadDim, 1e-2);
    std::vector<double> state = reals(state_.copy());
    std::vector<std::int32_t> empty, empty_expected;
    const auto take_out_empty = [](std::vector<double>& values, std::vector<std::int32_t>& flags) {
      for (double& value : values) {
        flags.push_back(value == -std::numeric_limits<double>::infinity() ? 1 : 0);
        if (flags.back() == 1) value = 0;
      }
    };
    take_out_empty(state, empty);
    take_out_empty(expected.state, empty_expected);
    findings.push_back(compare_exactly("maxima of nothing", empty_expected, empty));
    const double tolerance = shape_.form == StateForm::rows ? 1e-7 : 1e-4;
    append(findings, compare("state", expected.state, state, kHeadDim, tolerance));
    findings.push_back(written.others_untouched(pool_));
    return findings;
  }

  // The projections are another operator; what is left moves rows, state and entries.
  kernels::Work work() const override {
    auto w = op::work({.tokens = batch_.tokens(),
                       .emitted = batch_.emitted(op::kRatio),
                       .head_dim = kHeadDim,
                       .entry_bytes = kernels::kEntryDataBytes + kernels::kEntryScaleBytes});
    constexpr double kRow = 4.0 * 2 * kHeadDim;
    w.activation_bytes = batch_.tokens() * kRow;
    for (const Part& p : batch_.parts()) {
      const int phase = p.start % op::kRatio;
      const bool finishes = phase + p.tokens >= op::kRatio;
      if (shape_.form == StateForm::online) {
        w.activation_bytes += (phase != 0 ? 2 : 1) * 4.0 * 3 * kHeadDim;
      } else {
        w.activation_bytes +=
            (finishes ? phase + (p.start + p.tokens) % op::kRatio : p.tokens) * kRow;
      }
    }
    return w;
  }

 private:
  static constexpr std::int64_t kStride = 2 * kHeadDim + 64;
  std::int64_t slot_floats() const {
    return (shape_.form == StateForm::rows ? 2 * op::kRatio : 3) * kHeadDim;
  }

  // Random numbers become maxima, sums and weighted sums; sequences at the start of a block have
  // seen nothing.
  void make_running_state() {
    std::vector<float> state = state_.original().host();
    for (int s = 0; s < batch_.sequences(); ++s) {
      float* slot = state.data() + (batch_.sequences() - s) * slot_floats();
      const int phase = batch_.parts()[static_cast<std::size_t>(s)].start % op::kRatio;
      for (int c = 0; c < kHeadDim; ++c) {
        if (phase == 0) {
          slot[c] = -std::numeric_limits<float>::infinity();
          slot[kHeadDim + c] = slot[2 * kHeadDim + c] = 0;
        } else {
          slot[kHeadDim + c] = 1 + std::fabs(slot[kHeadDim + c]);
        }
      }
    }
    state_.original().upload(std::move(state));
  }

  Shape shape_;
  BatchOperand batch_;
  Buffer<float> rope_, ug_, ape_, weight_;
  Buffer<std::int32_t> slots_;
  ChangedInPlace<float> state_;
  PagesOperand table_;
  Buffer<std::uint8_t> pool_;
};

constexpr auto spec = case_of<CompressorHcaCase, Shape>;

Suite suite() {
  Suite s{.name = "compressor_hca"};
  const std::vector<Part> decode{{0, 1}, {127, 1}, {128, 1}, {255, 1}, {4000, 1}, {1, 1}};
  const std::vector<Part> drafts{{0, 3}, {126, 4}, {125, 3}, {255, 2}, {127, 2}, {64, 1}};
  const std::vector<Part> chunks{{0, 128},   {0, 300},  {5, 123}, {5, 122}, {5, 124},  {383, 1},
                                 {100, 411}, {128, 64}, {300, 1}, {255, 2}, {640, 256}};
  for (const StateForm form : {StateForm::online, StateForm::rows}) {
    const std::string name = form == StateForm::online ? "online" : "rows";
    s.check.push_back(spec(name + ", decode of 6 sequences", {form, decode}, true));
    s.check.push_back(spec(name + ", drafts of 6 sequences", {form, drafts}));
    s.check.push_back(spec(name + ", 11 chunks", {form, chunks}));
    s.check.push_back(spec(name + ", a chunk of 70", {form, {{90, 70}}}, true));
    s.check.push_back(spec(name + ", steep softmax", {form, chunks, 40}));
  }
  s.bench = {
      spec("online, decode 1, emits", {StateForm::online, {{4223, 1}}}),
      spec("online, decode 128, 1 emits", {StateForm::online, decode_parts(128, 4096)}),
      spec("rows, decode 128, 1 emits", {StateForm::rows, decode_parts(128, 4096)}),
      spec("online, prefill 8192", {StateForm::online, {{8192, 8192}}}, false,
           {21, 16, "us", "estimated",
            "H100, cold: 1.5 and 1.15 times what reading the rows and launching nothing take"}),
      spec("online, prefill 2048 of 4 sequences",
           {StateForm::online, {{0, 512}, {64, 512}, {700, 512}, {4000, 512}}}),
  };
  return s;
}

const RegisterSuite kSuite{suite()};

const calibrate::RegisterGrid kGrid{
    {.name = "kernel_compressor_hca",
     .covers = {"compressor_hca"},
     .keys = {"phase"},
     .axes = {{"tokens", "tokens"}},
     .note =
         "running state; decode: one token of each sequence; prefill: one chunk after 8192 tokens",
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
     .make = [](const calibrate::Rank&, const calibrate::Point& point) -> std::unique_ptr<Case> {
       const auto tokens = static_cast<int>(point.at[0]);
       const bool decode = point.keys[0] == "decode";
       const std::vector<Part> parts =
           decode ? decode_parts(tokens, 4100) : std::vector<Part>{{8192, tokens}};
       return std::make_unique<CompressorHcaCase>(Shape{StateForm::online, parts}, 1);
     }}};

}  // namespace
}  // namespace v4cap::exec
