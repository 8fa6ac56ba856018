#include "sim/output/steps_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "sim/config/yaml_tree.h"

namespace v4cap {

namespace {

constexpr std::string_view kHeader =
    "step,begin_ns,time_ns,decode_pieces,decode_tokens,decode_past,prefill_pieces,prefill_tokens,"
    "prefill_past,rebuild_pieces,rebuild_tokens,rebuild_past,points_written_bytes,"
    "points_read_bytes,plan\n";
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
// Of one sequence: sums over the pieces of a line stay within 63 bits.
constexpr std::int64_t kTokensMax = std::int64_t{1} << 36;

void append(std::string& text, std::int64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  text.append(digits.data(), end);
}

char letter(const StepPiece& piece) {
  switch (piece.kind) {
    case PieceKind::decode:
      return 'd';
    case PieceKind::prefill:
      return piece.emits_token ? 'P' : 'p';
    case PieceKind::rebuild:
      break;
  }
  return 'r';
}

void append(std::string& text, const StepPiece& piece) {
  V4CAP_CHECK(
      piece.kind == PieceKind::prefill || piece.emits_token == (piece.kind == PieceKind::decode),
      "a piece that cannot be written: " + in_words(piece));
  text += letter(piece);
  append(text, piece.request);
  text += ':';
  append(text, piece.past.value);
  if (piece.tokens == Tokens{1}) return;
  text += ':';
  append(text, piece.tokens.value);
}

// The same decodes, each behind its tokens of the step before.
bool continues(const StepPlan& plan, const StepPlan& before) {
  return std::ranges::equal(plan.pieces, before.pieces, [](StepPiece now, StepPiece last) {
    last.past += last.tokens;
    return now == last && now.kind == PieceKind::decode;
  });
}

// A line from left to right; columns count from 1.
class LineScan {
 public:
  LineScan(std::string_view line, const TextFile& file) : line_(line), file_(file) {}

  [[noreturn]] void expected(const std::string& what) const {
    const std::size_t end = std::min(line_.find_first_of(", ", at_), line_.size());
    const std::string found(line_.substr(at_, std::min<std::size_t>(end - at_, 40)));
    throw InputError(
        place(), "expected " + what + ", found " + (found.empty() ? "nothing" : "'" + found + "'"));
  }
  Place place() const { return file_.place(static_cast<std::int64_t>(at_) + 1); }
  bool done() const { return at_ == line_.size(); }
  bool skip(char c) {
    const bool is_next = !done() && line_[at_] == c;
    at_ += is_next ? 1 : 0;
    return is_next;
  }
  void need(char c, const std::string& what) {
    if (!skip(c)) expected(what);
  }
  char any() { return done() ? '\0' : line_[at_++]; }
  void back() { --at_; }
  std::int64_t number(const char* what, std::int64_t most = kMax) {
    std::int64_t value = 0;
    const char* const from = line_.data() + at_;
    const auto [end, error] = std::from_chars(from, line_.data() + line_.size(), value);
    if (error != std::errc() || value < 0 || value > most) {
      expected(std::string(what) + ", a whole number of at most " + std::to_string(most));
    }
    at_ += static_cast<std::size_t>(end - from);
    return value;
  }

 private:
  std::string_view line_;
  const TextFile& file_;
  std::size_t at_ = 0;
};

StepPiece scan_piece(LineScan& scan) {
  StepPiece piece;
  const char kind = scan.any();
  if (kind == '\0' || std::string_view("dpPr").find(kind) == std::string_view::npos) {
    if (kind != '\0') scan.back();
    scan.expected("a piece that begins with d, p, P or r");
  }
  piece.kind = kind == 'd'   ? PieceKind::decode
               : kind == 'r' ? PieceKind::rebuild
                             : PieceKind::prefill;
  piece.emits_token = kind == 'd' || kind == 'P';
  piece.request =
      static_cast<RequestIndex>(scan.number("a slot", std::numeric_limits<RequestIndex>::max()));
  scan.need(':', "':' between slot and past");
  piece.past = Tokens{scan.number("past", kTokensMax)};
  piece.tokens = Tokens{scan.skip(':') ? scan.number("tokens", kTokensMax) : 1};
  return piece;
}

// `plan` holds the step before.
void scan_plan(LineScan& scan, StepPlan& plan) {
  if (!plan.empty() && scan.skip('=')) {
    for (StepPiece& piece : plan.pieces) {
      piece.past += piece.tokens;
      if (piece.past > Tokens{kTokensMax}) scan.expected("pieces that do not grow any more");
    }
    return;
  }
  plan.pieces.clear();
  do {
    plan.pieces.push_back(scan_piece(scan));
  } while (scan.skip(' '));
}

}  // namespace

std::string_view StepLines::header() {
  return kHeader;
}

std::string_view StepLines::line(const RecordedStep& step) {
  struct Sums {
    std::int64_t pieces = 0, tokens = 0, past = 0;
  };
  std::array<Sums, 3> sums;  // by PieceKind
  for (const StepPiece& piece : step.plan.pieces) {
    Sums& sum = sums[static_cast<std::size_t>(piece.kind)];
    ++sum.pieces;
    sum.tokens += piece.tokens.value;
    sum.past += piece.past.value;
  }
  V4CAP_CHECK(!step.plan.empty(), "a step without pieces is to be written");
  text_.clear();
  const auto column = [&](std::int64_t number) {
    append(text_, number);
    text_ += ',';
  };
  column(step.index);
  column(step.begin.time_since_epoch().count());
  column(step.time.count());
  for (const Sums& sum : sums) {
    column(sum.pieces);
    column(sum.tokens);
    column(sum.past);
  }
  column(step.plan.copies.points_written.value);
  column(step.plan.copies.points_read.value);
  if (step.index > 0 && continues(step.plan, before_)) {
    text_ += '=';
  } else {
    for (const StepPiece& piece : step.plan.pieces) {
      append(text_, piece);
      text_ += ' ';
    }
    text_.pop_back();
  }
  text_ += '\n';
  before_ = step.plan;
  return text_;
}

StepsReader::StepsReader(const std::string& path) : file_(path) {
  file_.next();
  const std::string_view wanted = kHeader.substr(0, kHeader.size() - 1);
  if (file_.line() != wanted) {
    throw InputError(file_.place(1), "expected the header of a log of steps, '" +
                                         std::string(wanted) + "', found " +
                                         shown(std::string(file_.line().substr(0, 80))));
  }
}

const RecordedStep* StepsReader::next() {
  if (!file_.next()) return nullptr;
  const std::string_view text = file_.line();
  if (!file_.line_is_terminated()) {
    throw InputError(file_.place(static_cast<std::int64_t>(text.size()) + 1),
                     "expected the end of the line, the file is cut here");
  }
  LineScan scan(text, file_);
  const auto column = [&](const char* what) {
    const std::int64_t value = scan.number(what);
    scan.need(',', std::string("',' after ") + what);
    return value;
  };
  if (step_.index = column("step"); step_.index != steps_) {
    throw InputError(file_.place(1), "expected step " + std::to_string(steps_) + ", found " +
                                         std::to_string(step_.index));
  }
  step_.begin = SimTime{Duration{column("begin_ns")}};
  const Place time_place = scan.place();
  step_.time = Duration{column("time_ns")};
  if (step_.time == Duration{0}) throw InputError(time_place, "expected a time above 0, found 0");
  for (int sums = 0; sums < 9; ++sums) column("a sum");
  step_.plan.copies.points_written = Bytes{column("points_written_bytes")};
  step_.plan.copies.points_read = Bytes{column("points_read_bytes")};
  scan_plan(scan, step_.plan);
  if (!scan.done()) scan.expected("the end of the plan");
  // Sums, and the form of the plan, are what the writer makes of the same step.
  const std::string_view wanted = lines_.line(step_).substr(0, text.size() + 1);
  const auto at = static_cast<std::size_t>(std::ranges::mismatch(text, wanted).in1 - text.begin());
  if (at < text.size() || wanted.back() != '\n') {
    const std::size_t begin = at == 0 ? 0 : wanted.rfind(',', at - 1) + 1;
    const std::string_view right = wanted.substr(begin, wanted.find_first_of(",\n", begin) - begin);
    throw InputError(file_.place(static_cast<std::int64_t>(begin) + 1),
                     "expected what the plan amounts to, '" + std::string(right.substr(0, 40)) +
                         "', found '" +
                         std::string(text.substr(begin, text.find(',', begin) - begin)) + "'");
  }
  ++steps_;
  return &step_;
}

}  // namespace v4cap
