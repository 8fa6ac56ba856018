#include "traces/reader.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "traces/public_traces.h"

namespace v4cap {

namespace fs = std::filesystem;

namespace {

std::string known_formats() {
  std::string text;
  for (const std::string& name : TraceFormats::names()) text += (text.empty() ? "" : ", ") + name;
  return text;
}

const TraceFormat& named_format(const std::string& name) {
  if (const TraceFormat* format = TraceFormats::find(name)) return *format;
  throw InputError(Place{},
                   "unknown trace format '" + name + "'" + suggestion(name, TraceFormats::names()));
}

// Names among the fields of a CSV's line, or among the keys of a JSON object's.
bool has_field(std::string_view line, TraceFields::Shape shape, std::string_view name) {
  const char open = shape == TraceFields::Shape::json ? '"' : ',';
  for (std::size_t at = line.find(name); at != std::string_view::npos;
       at = line.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    const char before = at > 0 ? line[at - 1] : ',', after = end < line.size() ? line[end] : ',';
    if (before == open && after == open) return true;
  }
  return false;
}

// What a line that no format begins with lacks of the format of which it has most; "" where it has
// less than half of any.
std::string nearest_format(std::string_view line) {
  constexpr std::size_t kLongest = 64 << 10;
  line = line.substr(0, kLongest);
  const auto shape = line.starts_with('{') ? TraceFields::Shape::json : TraceFields::Shape::csv;
  std::string nearest, lacks;
  std::size_t most = 0, fewest = 0;
  for (const std::string& name : TraceFormats::names()) {
    const TraceFields& fields = TraceFormats::find(name)->fields;
    if (fields.shape != shape) continue;
    std::string missing;
    std::size_t found = 0;
    for (const std::string_view field : fields.names) {
      if (has_field(line, shape, field)) {
        ++found;
      } else {
        missing += (missing.empty() ? "'" : ", '") + std::string(field) + "'";
      }
    }
    const std::size_t absent = fields.names.size() - found;
    if (found == 0 || found < absent || found < most || (found == most && absent >= fewest)) {
      continue;
    }
    nearest = name;
    lacks = missing;
    most = found;
    fewest = absent;
  }
  if (nearest.empty()) return "";
  return "; nearest is '" + nearest + "' (" + std::string(TraceFormats::find(nearest)->summary) +
         ")" + (lacks.empty() ? "" : ", of which it lacks " + lacks);
}

std::string sniff_line(TextFile& file) {
  const std::string_view line = file.peek();
  for (const std::string& name : TraceFormats::names()) {
    if (TraceFormats::find(name)->sniff(line)) return name;
  }
  throw InputError(Place{file.path(), 1, 1},
                   "expected the first line of a trace (formats: " + known_formats() +
                       "), found something else" + nearest_format(line) +
                       "; traces/README.md shows lines of each");
}

// The file's name without its endings; the folder's when the file is called after what it is.
std::string trace_name(const std::string& path) {
  std::string name = fs::path(path).filename().string();
  name = name.substr(0, name.find('.'));
  const bool generic =
      name == "trace" || name == "sessions" || name == "clients" || name == "windows";
  const std::string folder = fs::path(path).parent_path().filename().string();
  return generic && !folder.empty() ? folder : name;
}

bool names_a_trace(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.ends_with(".jsonl") || name.ends_with(".jsonl.gz") || name.ends_with(".csv") ||
         name.ends_with(".csv.gz");
}

std::string only_trace_in(const fs::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (names_a_trace(entry.path())) found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  if (found.size() == 1) return found[0];
  std::string message = "expected a trace file or a folder with one, found a folder with " +
                        std::to_string(found.size());
  for (const std::string& file : found) message += (&file == found.data() ? ": " : ", ") + file;
  throw InputError(Place{folder.string()}, message);
}

}  // namespace

std::string sniff_format(const std::string& path) {
  TextFile file(path);
  return sniff_line(file);
}

Trace read_trace(const std::string& path, const TraceReadOptions& options) {
  TextFile file(path);
  const std::string name = options.format.empty() ? sniff_line(file) : options.format;
  const TraceFormat& format = named_format(name);
  file.limit_line_bytes(format.line_bytes_max);
  Trace trace = format.read(file, options);
  if (trace.requests.empty()) {
    throw InputError(Place{path, file.line_number(), 1},
                     "expected at least one request, found none");
  }
  if (options.block_tokens && trace.block.value == 0) {
    throw InputError(Place{path, 1, 1},
                     "expected blocks of " + std::to_string(options.block_tokens->value) +
                         " tokens as stated, found a format without block ids (" + name + ")");
  }
  if (trace.name.empty()) trace.name = trace_name(path);
  if (trace.format.empty()) trace.format = name;
  if (options.spread_instants) spread_instants(trace);
  return trace;
}

std::string locate_trace(const std::string& path, const std::string& trace_dir) {
  std::error_code ignored;
  std::vector<fs::path> candidates{path};
  if (!trace_dir.empty() && fs::path(path).is_relative()) {
    candidates.push_back(fs::path(trace_dir) / path);
  }
  for (const fs::path& candidate : candidates) {
    if (fs::is_directory(candidate, ignored)) return only_trace_in(candidate);
    if (fs::exists(candidate, ignored)) return candidate.string();
  }
  std::string near;
  for (const fs::path& candidate : candidates) {
    if (near.empty()) near = nearest_file(candidate.string());
  }
  throw InputError(Place{path},
                   "no such trace" + near +
                       (trace_dir.empty() ? "; name its folder with --traces DIR or V4CAP_TRACES"
                                          : ", nor one below " + trace_dir) +
                       where_to_get(path));
}

void spread_instants(Trace& trace) {
  if (!trace.has_arrivals) return;
  auto& requests = trace.requests;
  Duration gap{};
  std::int64_t moved = 0;
  for (std::size_t begin = 0; begin < requests.size();) {
    const Duration instant = requests[begin].arrival;
    std::size_t end = begin + 1;
    while (end < requests.size() && requests[end].arrival == instant) ++end;
    if (end < requests.size()) gap = requests[end].arrival - instant;
    const auto count = static_cast<std::int64_t>(end - begin);
    for (std::int64_t i = 1; i < count && gap > Duration{}; ++i) {
      // Whole and remainder apart: gap * i could overflow.
      const Duration share{gap.count() / count * i + gap.count() % count * i / count};
      requests[begin + static_cast<std::size_t>(i)].arrival = instant + share;
      ++moved;
    }
    begin = end;
  }
  trace.notes.push_back("spread " + std::to_string(moved) +
                        " requests evenly from a shared instant towards the next one");
}

}  // namespace v4cap
