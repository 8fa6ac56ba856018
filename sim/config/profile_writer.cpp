#include "sim/config/profile_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/config/host_section.h"
#include "sim/config/profile_names.h"
#include "sim/config/section.h"
#include "sim/core/error.h"

namespace v4cap {

namespace fs = std::filesystem;

namespace {

template <class E>
std::string name_of(const std::vector<std::pair<std::string, E>>& names, E value) {
  return std::ranges::find(names, value, &std::pair<std::string, E>::second)->first;
}

std::string list_text(const std::vector<std::string>& items) {
  std::vector<std::string> texts;
  for (const std::string& item : items) texts.push_back(yaml_scalar(item));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::string axis_text(const ProfileAxis& axis) {
  return fmt::format("      - {{name: {}, unit: {}, interpolation: {}{}}}\n", axis.name, axis.unit,
                     name_of(kInterpolations, axis.interpolation),
                     axis.monotone ? ", monotone: true" : "");
}

std::string numbers_text(const char* key, const std::map<std::string, double>& numbers) {
  if (numbers.empty()) return "";
  std::string out = fmt::format("    {}:\n", key);
  for (const auto& [name, value] : numbers) {
    out += fmt::format("      {}: {}\n", name, value_text(value));
  }
  return out;
}

std::string deployment_text(const StepDeployment& d) {
  std::string out;
  if (!d.model.empty()) out += "      model: " + yaml_scalar(d.model) + '\n';
  for (const auto& [path, value] : d.numbers()) {
    const std::string_view key =
        std::string_view(path).substr(std::string_view(path).find('.') + 1);
    if (value) out += fmt::format("      {}: {}\n", key, *value);
  }
  return out.empty() ? out : "    deployment:\n" + out;
}

std::string family_text(const ProfileFamily& f) {
  std::string out = fmt::format(
      "  - name: {}\n    grain: {}\n    engine: {}\n    engine_version: {}\n    kernel_source: {}\n"
      "    unit: us\n",
      f.name, name_of(kProfileGrains, f.grain), yaml_scalar(f.engine),
      yaml_scalar(f.engine_version), yaml_scalar(f.kernel_source));
  if (!f.keys.empty()) out += "    keys: " + list_text(f.keys) + '\n';
  out += numbers_text("coefficients", f.coefficients);
  out += numbers_text("largest", f.largest);
  out += deployment_text(f.deployment);
  if (!f.axes.empty()) out += "    axes:\n";
  for (const ProfileAxis& axis : f.axes) out += axis_text(axis);
  if (!f.covers.empty()) out += "    covers: " + list_text(f.covers) + '\n';
  if (!f.marks.empty()) out += "    marks: " + list_text(f.marks) + '\n';
  if (!f.note.empty()) out += "    note: " + yaml_scalar(f.note) + '\n';
  out += fmt::format("    rows: {}\n", f.rows);
  const HeldOutError& e = f.held_out;
  out += fmt::format(
      "    held_out: {{median_pct: {:.2f}, p90_pct: {:.2f}, worst_pct: {:.1f}, samples: {}}}\n",
      e.median_pct, e.p90_pct, e.worst_pct, e.samples);
  if (!f.refused_rows.empty()) {
    out += "    refused_rows:\n";
    for (const auto& [reason, rows] : f.refused_rows) {
      out += fmt::format("      {}: {}\n", yaml_scalar(reason), rows);
    }
  }
  return out;
}

std::string series_text(const ProfileFamily& family, const ProfileSeries& series) {
  std::string out = "family=" + family.name;
  for (std::size_t i = 0; i < series.keys.size(); ++i) {
    out += ',' + family.keys[i] + '=' + series.keys[i];
  }
  out += fmt::format(",samples={}\n", series.grid.size());
  const std::vector<Sample> samples = series.grid.samples();
  const std::size_t n = family.axes.size();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    bool repeats = i > 0;  // only leading values are left out
    for (std::size_t axis = 0; axis < n; ++axis) {
      repeats = repeats && axis + 1 < n && samples[i].at[axis] == samples[i - 1].at[axis];
      if (!repeats) out += fmt::format("{}", samples[i].at[axis]);
      out += ',';
    }
    out += fmt::format("{:.4g}\n", samples[i].us);
  }
  return out;
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) throw RunError("cannot write " + path.string());
}

}  // namespace

ProfileText profile_text(const Profile& p) {
  std::string yaml, csv;
  for (const auto& [key, value] :
       {std::pair("name", p.name), std::pair("gpu", p.gpu), std::pair("engine", p.engine),
        std::pair("engine_version", p.engine_version), std::pair("device", p.device),
        std::pair("driver", p.driver), std::pair("clocks", p.clocks), std::pair("date", p.date),
        std::pair("source", p.source), std::pair("licence", p.licence)}) {
    yaml += std::string(key) + ": " + yaml_scalar(value) + '\n';
  }
  if (p.host) yaml += "host:\n" + host_text(*p.host, "  ");
  yaml += "families:\n";
  std::size_t series = 0, samples = 0;
  for (const ProfileFamily& family : p.families) {
    yaml += family_text(family);
    for (const ProfileSeries& one : family.series) {
      ++series;
      samples += one.grid.size();
      csv += series_text(family, one);
    }
  }
  const std::string head =
      fmt::format("v4cap_profile={},name={},engine={},engine_version={},series={},samples={}\n",
                  kProfileFormat, p.name, p.engine, p.engine_version, series, samples);
  return {std::move(yaml), samples > 0 ? head + csv : ""};
}

void write_profile(const Profile& profile, const std::string& dir) {
  const ProfileText text = profile_text(profile);
  const std::string base = (fs::path(dir) / profile.name).string();
  write_text(base + ".yaml", text.yaml);
  if (!text.csv.empty()) write_text(base + ".csv", text.csv);
}

}  // namespace v4cap
