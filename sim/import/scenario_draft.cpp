#include "sim/import/scenario_draft.h"

#include <algorithm>

namespace v4cap {

namespace {

constexpr std::size_t kCommentColumn = 34;

std::vector<std::string> parts(const std::string& path) {
  std::vector<std::string> out(1);
  for (const char c : path) {
    if (c == '.') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

// How many leading parts two paths share.
std::size_t shared(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::size_t n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
  return n;
}

std::string with_comment(std::string line, const std::string& comment) {
  if (comment.empty()) return line + '\n';
  line.resize(std::max(line.size() + 1, kCommentColumn), ' ');
  std::string shown = comment;
  std::ranges::replace(shown, '\n', ' ');
  return line + "# " + shown + '\n';
}

}  // namespace

std::string_view name_of(Origin origin) {
  switch (origin) {
    case Origin::command:
      return "command";
    case Origin::log:
      return "log";
    case Origin::engine:
      return "engine default";
    case Origin::import:
      return "assumed";
    case Origin::user:
      return "option";
  }
  return "";
}

void ScenarioDraft::set(DraftLine line) {
  for (DraftLine& other : lines_) {
    // A model or hardware that was only named becomes the base of a map.
    if (line.path.starts_with(other.path + '.') &&
        (other.path == "model" || other.path == "hardware")) {
      other.path += ".base";
    }
  }
  std::erase_if(lines_, [&](const DraftLine& other) {
    return other.path.starts_with(line.path + '.') || line.path.starts_with(other.path + '.');
  });
  const auto same = std::ranges::find(lines_, line.path, &DraftLine::path);
  if (same != lines_.end()) {
    *same = std::move(line);
  } else {
    lines_.push_back(std::move(line));
  }
}

void ScenarioDraft::set(const std::string& path, const std::string& value, const FlagUse& from) {
  set({path, value, from.quoted(), Origin::command, from.place});
}

void ScenarioDraft::assume(const std::string& path, const std::string& value,
                           const std::string& reason, Origin origin) {
  set({path, value, reason, origin, {}});
}

void ScenarioDraft::leave_out(const FlagUse& flag, const std::string& what) {
  omissions_.push_back({flag.quoted(), what, flag.place});
}

void ScenarioDraft::leave_open(OpenFlag flag) {
  const auto same = std::ranges::find(open_, flag.written, &OpenFlag::written);
  if (same == open_.end()) {
    open_.push_back(std::move(flag));
  } else if (same->path.empty()) {
    *same = std::move(flag);  // now it is known what stands in its place
  }
}

std::vector<OpenFlag> ScenarioDraft::open_flags() const {
  std::vector<OpenFlag> out;
  for (const OpenFlag& flag : open_) {
    const DraftLine* line = find(flag.path);
    if (line == nullptr || line->origin != Origin::user) out.push_back(flag);
  }
  return out;
}

const DraftLine* ScenarioDraft::find(const std::string& path) const {
  const auto it = std::ranges::find(lines_, path, &DraftLine::path);
  return it == lines_.end() ? nullptr : &*it;
}

std::string ScenarioDraft::yaml(const std::vector<std::string>& header) const {
  std::string out;
  for (const std::string& line : header) out += line.empty() ? "#\n" : "# " + line + '\n';
  // Lines of a section stand together, sections in the order in which they were first named.
  std::vector<const DraftLine*> ordered;
  std::vector<bool> done(lines_.size());
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    const std::string top = parts(lines_[i].path).front();
    for (std::size_t j = i; j < lines_.size(); ++j) {
      if (done[j] || parts(lines_[j].path).front() != top) continue;
      done[j] = true;
      ordered.push_back(&lines_[j]);
    }
  }
  // Within a section maps that are deeper come after its plain keys, which keeps each map whole.
  std::ranges::stable_sort(ordered, [](const DraftLine* a, const DraftLine* b) {
    const auto x = parts(a->path), y = parts(b->path);
    return x.front() == y.front() && x.size() < y.size();
  });
  std::vector<std::string> open;
  for (const DraftLine* line : ordered) {
    const std::vector<std::string> path = parts(line->path);
    std::size_t depth = shared(open, path);
    if (depth == 0 && (path.size() > 1 || open.size() > 1)) out += '\n';
    for (; depth + 1 < path.size(); ++depth) {
      out += std::string(2 * depth, ' ') + path[depth] + ":\n";
    }
    out +=
        with_comment(std::string(2 * depth, ' ') + path.back() + ": " + line->value, line->reason);
    open = path;
  }
  return out;
}

}  // namespace v4cap
