// What a step from measured modules looks up: the grids of a profile that fit one deployment, each of
// which may be absent.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/cost/decode_lines.h"
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
  // `reach`: of its lines, past tokens beyond which nothing changes.
  explicit DecodeGrid(const ProfileSeries* series,
                      std::int64_t reach = std::numeric_limits<std::int64_t>::max())
      : grid_(series == nullptr ? nullptr : &series->grid), reach_(reach) {}

  bool known() const { return grid_ != nullptr; }

  // Both stay until one beyond those that are kept is asked for.
  const SampleGrid::Row& row(std::int64_t rows) const {
    return kept(rows_, rows, [&](double n) { return grid_->row(n); });
  }
  const DecodeLines& lines(std::int64_t rows) const {
    return kept(lines_, rows, [&](double n) { return DecodeLines(grid_->row(n), reach_); });
  }

  // Batches up to this have their rows kept.
  static constexpr std::size_t kRowsKept = 16384;

 private:
  template <class T>
  struct Kept {
    std::vector<std::unique_ptr<T>> by_rows;
    std::unique_ptr<T> beyond;
  };
  template <class T, class Make>
  const T& kept(Kept<T>& all, std::int64_t rows, const Make& make) const {
    const auto i = static_cast<std::size_t>(std::max<std::int64_t>(rows, 1));
    if (i < all.by_rows.size() && all.by_rows[i]) return *all.by_rows[i];
    auto made = std::make_unique<T>(make(static_cast<double>(i)));
    if (i <= kRowsKept && i >= all.by_rows.size()) all.by_rows.resize(i + 1);
    std::unique_ptr<T>& place = i > kRowsKept ? all.beyond : all.by_rows[i];
    place = std::move(made);
    return *place;
  }

  const SampleGrid* grid_;
  std::int64_t reach_;
  mutable Kept<SampleGrid::Row> rows_;
  mutable Kept<DecodeLines> lines_;
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
  // projections, and nothing compressed to read. That is as far as the lines of `decode` reach.
  bool window_only;

  // Of one row that decodes, at no context.
  double single_row_us() const { return decode.row(1).at(1).us; }
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
