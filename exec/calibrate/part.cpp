#include "exec/calibrate/part.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>

#include "exec/driver/gpu_error.h"
#include "sim/core/hash.h"
#include "sim/core/json.h"
#include "sim/output/json_writer.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr int kFormat = 1;
constexpr double kUsMax = 1e12, kAxisMax = 1e15, kMhzMax = 1e6;

void write_texts(JsonWriter& json, const char* name, const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

std::vector<std::string> texts(JsonValue list) {
  std::vector<std::string> out;
  for (const JsonValue value : list.array()) out.emplace_back(value.string());
  return out;
}

std::string text_at(JsonValue object, const char* key) {
  return std::string(object.at(key).string());
}

double us_at(JsonValue object, const char* key) {
  const double us = object.at(key).number(0, kUsMax);
  if (us <= 0) object.at(key).fail(std::string(key) + ": expected a time above 0");
  return us;
}

Provenance read_provenance(JsonValue v) {
  constexpr int kMost = std::numeric_limits<std::int32_t>::max();
  Provenance p;
  p.device = text_at(v, "device");
  p.gpu = text_at(v, "gpu");
  p.uuid = text_at(v, "uuid");
  p.driver = text_at(v, "driver");
  p.cuda_runtime = text_at(v, "cuda_runtime");
  p.version = text_at(v, "version");
  p.build = text_at(v, "build");
  p.versions = text_at(v, "versions");
  p.model = text_at(v, "model");
  p.tp = static_cast<int>(v.at("tp").integer(1, kMost));
  p.ep = static_cast<int>(v.at("ep").integer(1, kMost));
  p.size = text_at(v, "size");
  p.date = text_at(v, "date");
  p.reference_mhz = v.at("reference_mhz").number(0, kMhzMax);
  return p;
}

PartHead read_head(JsonValue v) {
  PartHead head;
  v.at("v4exec_part").integer(kFormat, kFormat);
  const JsonValue f = v.at("family");
  head.family.name = text_at(f, "name");
  const std::string grain = text_at(f, "grain");
  if (grain != "kernel" && grain != "module") {
    f.at("grain").fail("grain: expected kernel or module, got \"" + grain + '"');
  }
  head.family.grain = grain == "kernel" ? ProfileGrain::kernel : ProfileGrain::module;
  head.family.kernel_source = text_at(f, "kernel_source");
  head.family.keys = texts(f.at("keys"));
  const JsonValue axes = f.at("axes");
  if (axes.size() < 1 || axes.size() > static_cast<std::int64_t>(kSampleAxesMax)) {
    axes.fail(fmt::format("axes: expected 1 to {} axes", kSampleAxesMax));
  }
  for (const JsonValue axis : axes.array()) {
    head.family.axes.push_back({text_at(axis, "name"), text_at(axis, "unit")});
    head.family.axes.back().monotone = axis.at("monotone").boolean();
  }
  head.family.covers = texts(f.at("covers"));
  head.family.marks = texts(f.at("marks"));
  head.family.note = text_at(f, "note");
  head.tolerance_pct = v.at("tolerance_pct").number(0, 100);
  head.points = static_cast<std::size_t>(v.at("points").integer(1, 1 << 30));
  head.plan = text_at(v, "plan");
  head.provenance = read_provenance(v.at("provenance"));
  return head;
}

Record read_record(JsonValue v, const PartHead& head) {
  Record record;
  record.point.keys = texts(v.at("keys"));
  for (const JsonValue value : v.at("at").array()) {
    record.point.at.push_back(value.number(0, kAxisMax));
  }
  if (record.point.keys.size() != head.family.keys.size())
    v.at("keys").fail("keys: expected " + std::to_string(head.family.keys.size()) + " values");
  if (record.point.at.size() != head.family.axes.size())
    v.at("at").fail("at: expected " + std::to_string(head.family.axes.size()) + " values");
  if (const JsonValue refused = v.find("refused")) {
    record.refused = refused.string();
    if (record.refused.empty()) refused.fail("refused: expected a reason, got none");
    return record;
  }
  record.time.median_us = us_at(v, "us");
  record.time.p10_us = us_at(v, "p10_us");
  record.time.p90_us = us_at(v, "p90_us");
  record.time.samples = static_cast<int>(v.at("samples").integer(1, 1 << 30));
  record.time.sm_mhz = v.at("sm_mhz").number(0, kMhzMax);
  if (const JsonValue mark = v.find("mark")) record.mark = mark.string();
  return record;
}

}  // namespace

std::optional<RunError> unfit_part(const std::string& path, const Provenance& expected,
                                   const Provenance& found, bool any_gpu) {
  const auto gpu = [](const Provenance& p) { return fmt::format("{} ({})", p.device, p.uuid); };
  if (found.device != expected.device) {
    return wrong_profile(path, gpu(found), gpu(expected), kMeasureAgain);
  }
  if (!any_gpu && found.uuid != expected.uuid) {
    return wrong_profile(path, gpu(found), gpu(expected),
                         fmt::format("--any-gpu takes it, {}", kMeasureAgain));
  }
  std::string wanted, there;
  const auto compare = [&](const char* what, const auto& e, const auto& f) {
    if (e == f) return;
    const char* comma = wanted.empty() ? "" : ", ";
    wanted += fmt::format("{}{} {}", comma, what, e);
    there += fmt::format("{}{} {}", comma, what, f);
  };
  compare("driver", expected.driver, found.driver);
  compare("CUDA runtime", expected.cuda_runtime, found.cuda_runtime);
  compare("v4exec", expected.version + " build " + expected.build,
          found.version + " build " + found.build);
  compare("versions of kernels", expected.versions, found.versions);
  compare("model", expected.model, found.model);
  compare("tp", expected.tp, found.tp);
  compare("ep", expected.ep, found.ep);
  compare("size", expected.size, found.size);
  if (wanted.empty()) return {};
  return bad_part(path, wanted, there, kMeasureAgain);
}

std::string plan_hash(const std::vector<Point>& points) {
  ContentHash hash;
  for (const Point& point : points) {
    for (const std::string& key : point.keys) hash.add(std::string_view(key));
    for (const double value : point.at) hash.add(std::string_view(fmt::format("{}", value)));
  }
  return fmt::format("{:016x}", hash.value());
}

PartHead make_head(const Family& family, const std::vector<Point>& points, Provenance provenance) {
  PartHead head;
  head.family = family.describe();
  head.tolerance_pct = family.tolerance_pct();
  head.points = points.size();
  head.plan = plan_hash(points);
  head.provenance = std::move(provenance);
  return head;
}

std::string to_line(const PartHead& head) {
  JsonWriter json;
  json.begin_object().member("v4exec_part", kFormat).key("family").begin_object();
  const ProfileFamily& f = head.family;
  json.member("name", f.name);
  json.member("grain", f.grain == ProfileGrain::kernel ? "kernel" : "module");
  json.member("kernel_source", f.kernel_source);
  write_texts(json, "keys", f.keys);
  json.key("axes").begin_array();
  for (const ProfileAxis& axis : f.axes) {
    json.begin_object().member("name", axis.name).member("unit", axis.unit);
    json.member("monotone", axis.monotone).end_object();
  }
  json.end_array();
  write_texts(json, "covers", f.covers);
  write_texts(json, "marks", f.marks);
  json.member("note", f.note).end_object();
  json.member("tolerance_pct", head.tolerance_pct).member("points", head.points);
  json.member("plan", head.plan).key("provenance").begin_object();
  const Provenance& p = head.provenance;
  json.member("device", p.device).member("gpu", p.gpu).member("uuid", p.uuid);
  json.member("driver", p.driver).member("cuda_runtime", p.cuda_runtime);
  json.member("version", p.version).member("build", p.build).member("versions", p.versions);
  json.member("model", p.model).member("tp", p.tp).member("ep", p.ep).member("size", p.size);
  json.member("date", p.date).member("reference_mhz", p.reference_mhz);
  json.end_object().end_object();
  return json.text() + '\n';
}

std::string to_line(const Record& record) {
  JsonWriter json;
  json.begin_object();
  write_texts(json, "keys", record.point.keys);
  json.key("at").begin_array();
  for (const double value : record.point.at) json.value(value);
  json.end_array();
  if (!record.refused.empty()) {
    json.member("refused", record.refused);
  } else {
    json.member("us", record.time.median_us).member("p10_us", record.time.p10_us);
    json.member("p90_us", record.time.p90_us).member("samples", record.time.samples);
    json.member("sm_mhz", record.time.sm_mhz);
    if (!record.mark.empty()) json.member("mark", record.mark);
  }
  json.end_object();
  return json.text() + '\n';
}

Part read_part(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) throw InputError(Place{path}, "expected a file that can be read, found none");
  Part part;
  JsonLine line;
  std::int64_t number = 0;
  while (part.bytes < text.size()) {
    const std::size_t end = text.find('\n', part.bytes);
    if (end == std::string::npos) break;  // cut
    const std::string_view one(text.data() + part.bytes, end - part.bytes);
    const JsonValue value = parse_json_object(line, one, Place{path, ++number}, false);
    if (number == 1) {
      part.head = read_head(value);
    } else {
      part.records.push_back(read_record(value, part.head));
    }
    part.bytes = end + 1;
  }
  if (part.records.size() > part.head.points) {
    throw InputError(Place{path}, fmt::format("expected {} points, found {}", part.head.points,
                                              part.records.size()));
  }
  return part;
}

std::string part_path(const std::string& folder, const std::string& family) {
  return folder + "/parts/" + family + ".jsonl";
}
std::string partial_path(const std::string& folder, const std::string& family) {
  return folder + "/parts/" + family + ".partial";
}

}  // namespace v4cap::exec::calibrate
