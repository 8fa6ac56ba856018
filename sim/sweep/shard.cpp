#include "sim/sweep/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "sim/config/value.h"
#include "sim/core/json.h"
#include "sim/core/text_file.h"
#include "sim/output/json_writer.h"

namespace v4cap {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "v4cap-sweep-shard";
constexpr std::int64_t kShardsMax = 100'000;

PointResult result_of(std::string_view line, JsonLine& json, const Place& place, bool cut) {
  const JsonValue row = parse_json_object(json, line, place, cut);
  PointResult result;
  result.key = row.at("key").string();
  result.feasible = row.at("status").string() == "done";
  if (!result.feasible) {
    result.document = row.at("reason").string();
    return result;
  }
  row.at("summary").members();
  // The summary's own bytes: what follows its key, up to the end of the row.
  constexpr std::string_view kKey = "\"summary\":";
  const std::size_t begin = line.find(kKey);
  if (begin == std::string_view::npos) row.fail("expected key 'summary' as it was written");
  result.document = line.substr(begin + kKey.size(), line.size() - begin - kKey.size() - 1);
  if (result_line(result) != line) row.fail("expected a result as it was written");
  return result;
}

}  // namespace

ShardId parse_shard(const std::string& text) {
  const std::size_t slash = text.find('/');
  std::string hint;
  const auto number = parse_value<std::int64_t>(text.substr(0, slash), hint);
  const auto count = slash == std::string::npos
                         ? std::nullopt
                         : parse_value<std::int64_t>(text.substr(slash + 1), hint);
  if (!number || !count || *number < 1 || *number > *count || *count > kShardsMax) {
    throw InputError(Place{"--shard"}, "expected i/N with 1 <= i <= N <= " +
                                           std::to_string(kShardsMax) + ", got " + shown(text));
  }
  return {*number, *count};
}

std::vector<std::size_t> points_of(const ShardId& shard, std::size_t points) {
  std::vector<std::size_t> out;
  const auto stride = static_cast<std::size_t>(shard.count);
  for (auto i = static_cast<std::size_t>(shard.number - 1); i < points; i += stride)
    out.push_back(i);
  return out;
}

std::string file_name(const ShardId& shard) {
  return fmt::format("shard-{:05}-of-{:05}.jsonl", shard.number, shard.count);
}

std::string shard_text(const SweepPlan& plan, const ShardId& shard,
                       const std::map<std::string, PointResult>& results) {
  const std::vector<std::size_t> points = points_of(shard, plan.points.size());
  JsonWriter head;
  head.begin_object().member("format", kFormat).member("plan", plan_hash(plan));
  head.member("shard", shard.number).member("shards", shard.count);
  head.member("points", points.size()).end_object();
  std::string text = head.text() + '\n';
  for (const std::size_t i : points) text += result_line(results.at(plan.points[i].key)) + '\n';
  return text;
}

ShardFile read_shard(const std::string& path) {
  TextFile file(path);
  JsonLine json;
  ShardFile out;
  out.path = path;
  if (!file.next()) throw InputError(Place{path}, "expected a shard of a sweep, the file is empty");
  const JsonValue head =
      parse_json_object(json, file.line(), file.place(), !file.line_is_terminated());
  if (head.at("format").string() != kFormat) head.fail("expected a shard of a sweep");
  out.plan = head.at("plan").string();
  out.shard.count = head.at("shards").integer(1, kShardsMax);
  out.shard.number = head.at("shard").integer(1, out.shard.count);
  const std::int64_t points = head.at("points").integer(0, INT64_MAX);
  while (file.next()) {
    out.results.push_back(result_of(file.line(), json, file.place(), !file.line_is_terminated()));
  }
  if (const auto found = static_cast<std::int64_t>(out.results.size()); found != points) {
    throw InputError(file.place(), "expected " + std::to_string(points) + " results, got " +
                                       std::to_string(found) + ": the file was cut or added to");
  }
  return out;
}

std::vector<std::string> shard_files(const std::string& folder) {
  std::vector<std::string> paths;
  if (!fs::is_directory(folder)) return paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("shard-") && name.ends_with(".jsonl")) {
      paths.push_back(entry.path().string());
    }
  }
  std::ranges::sort(paths);
  return paths;
}

std::map<std::string, PointResult> merged(const SweepPlan& plan,
                                          const std::vector<std::string>& paths) {
  std::set<std::string> planned;
  for (const PlannedPoint& point : plan.points) planned.insert(point.key);
  const std::string hash = plan_hash(plan);
  std::map<std::string, PointResult> results;
  std::map<std::string, std::string> first;
  for (const std::string& path : paths) {
    ShardFile file = read_shard(path);
    if (file.plan != hash) {
      throw InputError(Place{path, 1},
                       "expected a shard of plan " + hash + ", got one of " + file.plan);
    }
    std::int64_t line = 1;
    for (PointResult& result : file.results) {
      const Place place{path, ++line};
      if (!planned.contains(result.key)) {
        throw InputError(place, "point " + result.key + " is not in the plan");
      }
      const auto [it, fresh] = results.emplace(result.key, result);
      if (fresh) {
        first[result.key] = path + ':' + std::to_string(line);
      } else if (it->second != result) {
        throw InputError(place, "point " + result.key + " has another result here than in " +
                                    first[result.key] + "; equal inputs must give equal results");
      }
    }
  }
  return results;
}

}  // namespace v4cap
