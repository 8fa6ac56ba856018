// What a step from measured modules looks up: the grids of a profile that fit one deployment, each of
// which may be absent.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "sim/cost/operators.h"
#include "sim/cost/profile.h"

namespace v4cap {

// A grid that may be absent.
class Lookup {
 public:
  explicit Lookup(const ProfileSeries* series = nullptr)
      : grid_(series == nullptr ? nullptr : &series->grid) {}
  bool known() const { return grid_ != nullptr; }
  template <class... Axes>
  SampleTime at(Axes... values) const {
    const std::array<double, sizeof...(Axes)> point{values...};
    return grid_->at(point);
  }

 private:
  const SampleGrid* grid_;
};

// A decode grid over batch rows and past tokens that may be absent, with the rows that steps repeat
// kept ready.
class DecodeGrid {
 public:
  explicit DecodeGrid(const ProfileSeries* series)
      : grid_(series == nullptr ? nullptr : &series->grid) {}

  bool known() const { return grid_ != nullptr; }

  // Stays until a row beyond those that are kept is asked for.
  const SampleGrid::Row& row(std::int64_t rows) const {
    const auto i = static_cast<std::size_t>(std::max<std::int64_t>(rows, 1));
    if (i > kRowsKept) {
      beyond_ = grid_->row(static_cast<double>(i));
      return beyond_;
    }
    if (i >= kept_.size()) kept_.resize(i + 1);
    if (!kept_[i]) kept_[i] = std::make_unique<SampleGrid::Row>(grid_->row(static_cast<double>(i)));
    return *kept_[i];
  }

  // Batches up to this have their rows kept.
  static constexpr std::size_t kRowsKept = 16384;

 private:
  const SampleGrid* grid_;
  mutable std::vector<std::unique_ptr<SampleGrid::Row>> kept_;
  mutable SampleGrid::Row beyond_;
};

// How tables of measurements name experts, and the bytes of one of their parameters: half a byte
// with a byte of scale per 32 values or per 16, one byte, two.
struct ExpertFormat {
  std::string_view name;
  double bytes = 0;
};

// An attention module and the layers that it stands for.
struct AttentionModule {
  std::string_view part;
  std::int64_t layers;
  DecodeGrid decode;
  Lookup prefill;
  Lookup short_prefill;  // where nothing has to be selected yet; absent: as the others
  // Layers that keep a window only run the HCA module at a context of one window: they have its
  // projections, and nothing compressed to read.
  bool window_only;
};

struct ProfileTables {
  // `expert_format` and `distribution`: values of the keys `dtype` and `distribution` of the experts.
  ProfileTables(const StepSetting& setting, const Profile& profile, std::string_view expert_format,
                std::string_view distribution);

  std::vector<AttentionModule> attention;
  std::optional<AttentionModule> draft;  // the draft layer's, a window-only layer
  Lookup mhc_pre, mhc_post, experts, shared_up, shared_down;
  std::array<Lookup, 2> all_reduce;  // eager, from a graph
  Lookup joint_all_reduce, all_gather, reduce_scatter;
  std::array<Lookup, 2> dispatch, combine;  // normal, low latency

  std::optional<ExpertFormat> expert_stand_in;  // measured in this one: expert_scale()
  // Whole parts: used only when all that they consist of is there.
  bool attention_decode = false, attention_prefill = false;
  bool hyper_connections = false, shared_expert = false, all_reduce_known = false;
  bool dispatch_known = false, gather_known = false;

  bool covers_drafts() const {
    return draft && draft->decode.known() && draft->prefill.known() && hyper_connections;
  }
  bool covers_attention(bool decodes, bool prefills) const {
    return (!decodes || attention_decode) && (!prefills || attention_prefill);
  }
};

}  // namespace v4cap
