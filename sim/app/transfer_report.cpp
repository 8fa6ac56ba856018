#include "sim/app/transfer_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/config/data_files.h"
#include "sim/config/hardware_file.h"
#include "sim/config/model_file.h"
#include "sim/config/profile_file.h"
#include "sim/config/transferred_profile.h"
#include "sim/output/json_writer.h"

namespace v4cap {

namespace {

std::vector<TransferModel> known_models() {
  std::vector<TransferModel> out;
  for (const std::string& name : data_names(DataKind::model, "")) {
    ModelData model = load_model(name);
    out.push_back({std::move(model.spec), model.entry_fp8});
  }
  return out;
}

// Series and samples stand in the order of the nearest donor's; some series may be missing.
TransferReport::Family summary(const ProfileFamily& family, const ProfileFamily& nearest) {
  TransferReport::Family out{.name = family.name};
  std::vector<double> factors;
  for (const ProfileSeries& series : family.series) {
    const auto from = std::ranges::find(nearest.series, series.keys, &ProfileSeries::keys);
    const std::vector<Sample> to = series.grid.samples();
    const std::vector<Sample> of = from->grid.samples();
    for (std::size_t i = 0; i < to.size(); ++i) factors.push_back(to[i].us / of[i].us);
  }
  std::ranges::sort(factors);
  out.series = static_cast<std::int64_t>(family.series.size());
  out.samples = static_cast<std::int64_t>(factors.size());
  out.median_factor = factors[factors.size() / 2];
  return out;
}

const TransferError* error_of(const TransferReport& report, const std::string& family) {
  const auto it = std::ranges::find(report.errors, family, &TransferError::family);
  return it == report.errors.end() ? nullptr : &*it;
}

}  // namespace

TransferReport transfer_report(const TransferQuestion& question) {
  const HardwareSpec target = load_hardware(question.target);
  const std::vector<TransferModel> models = known_models();
  TransferReport report;
  report.profile = load_transferred(question.donors, "", target, models);
  const Profile nearest = load_profile(question.donors.front(), "");
  for (const ProfileFamily& family : report.profile.families) {
    report.families.push_back(summary(family, *nearest.find(family.name)));
  }
  if (question.measured.empty()) return report;
  const Profile measured = load_profile(question.measured, "");
  if (measured.gpu != target.gpu.name || measured.engine != report.profile.engine) {
    throw InputError(Place{"v4cap fit"}, "--against: expected a profile of " + target.gpu.name +
                                             " under " + report.profile.engine + ", " +
                                             measured.name + " is of " + measured.gpu + " under " +
                                             measured.engine);
  }
  report.errors = transfer_errors(report.profile, measured);
  return report;
}

std::string transfer_text(const TransferReport& report, const TextStyle& style) {
  std::string out = fmt::format("{}\n{}\n\n", report.profile.name, report.profile.source);
  const bool compared = !report.errors.empty();
  std::vector<std::string> header{"family", "series", "samples", "x donor"};
  if (compared) {
    header.insert(header.end(), {"compared", "outside", "median %", "p90 %", "signed %"});
  }
  Table table(header);
  for (const TransferReport::Family& f : report.families) {
    std::vector<std::string> cells{f.name, fmt::format("{}", f.series),
                                   fmt::format("{}", f.samples),
                                   fmt::format("{:.2f}", f.median_factor)};
    if (const TransferError* e = error_of(report, f.name)) {
      cells.insert(cells.end(),
                   {fmt::format("{}", e->samples), fmt::format("{}", e->outside),
                    fmt::format("{:.1f}", e->median_pct), fmt::format("{:.1f}", e->p90_pct),
                    fmt::format("{:+.1f}", e->signed_median_pct)});
    }
    cells.resize(header.size(), "-");
    table.row(std::move(cells));
  }
  return out + table.text(style);
}

std::string transfer_json(const TransferReport& report) {
  JsonWriter json(2);
  json.begin_object().member("name", report.profile.name).member("source", report.profile.source);
  json.key("families").begin_array();
  for (const TransferReport::Family& f : report.families) {
    json.begin_object().member("name", f.name).member("series", f.series);
    json.member("samples", f.samples).member("median_factor", f.median_factor);
    if (const TransferError* e = error_of(report, f.name)) {
      json.member("compared", e->samples).member("outside", e->outside);
      json.member("median_pct", e->median_pct).member("p90_pct", e->p90_pct);
      json.member("signed_median_pct", e->signed_median_pct);
    }
    json.end_object();
  }
  json.end_array().end_object();
  return json.text();
}

}  // namespace v4cap
