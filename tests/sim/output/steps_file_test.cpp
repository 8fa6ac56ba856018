// steps.csv: what is written is read back, what is broken is refused where it is broken, and a
// killed writer leaves whole lines.
#include "sim/output/steps_file.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sim/core/error.h"
#include "sim/output/run_directory.h"
#include "tests/golden.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

StepPiece piece(RequestIndex slot, PieceKind kind, std::int64_t past, std::int64_t tokens,
                bool emits) {
  return {slot, kind, emits, Tokens{past}, Tokens{tokens}};
}

std::vector<RecordedStep> some_steps() {
  using enum PieceKind;
  const auto step = [](std::int64_t index, std::int64_t begin, std::int64_t time,
                       std::vector<StepPiece> pieces, StepCopies copies = {}) {
    return RecordedStep{
        index, kSimStart + Duration{begin}, Duration{time}, {std::move(pieces), copies}};
  };
  return {
      step(0, 0, 1'500, {piece(0, prefill, 0, 2048, false)}, {Bytes{77}, Bytes{0}}),
      step(1, 1'500, 1'600,
           {piece(4, rebuild, 128, 300, false), piece(4, prefill, 428, 5, true),
            piece(0, prefill, 2048, 1, true)}),
      step(2, 9'000'000'000'000, 20,
           {piece(4, decode, 433, 1, true), piece(0, decode, 2049, 1, true)}),
      step(3, 9'000'000'000'020, 21,
           {piece(4, decode, 434, 1, true), piece(0, decode, 2050, 1, true)}),
      step(4, 9'000'000'000'041, 22, {piece(0, decode, 2051, 1, true)}, {Bytes{0}, Bytes{9}}),
  };
}

const std::string kText =
    "0,0,1500,0,0,0,1,2048,0,0,0,0,77,0,p0:0:2048\n"
    "1,1500,1600,0,0,0,2,6,2476,1,300,128,0,0,r4:128:300 P4:428:5 P0:2048\n"
    "2,9000000000000,20,2,2,2482,0,0,0,0,0,0,0,0,d4:433 d0:2049\n"
    "3,9000000000020,21,2,2,2484,0,0,0,0,0,0,0,0,=\n"
    "4,9000000000041,22,1,1,2051,0,0,0,0,0,0,0,9,d0:2051\n";

TEST_CASE("steps file: lines, and the same steps read from them") {
  std::string text(StepLines::header());
  StepLines lines;
  for (const RecordedStep& step : some_steps()) text += lines.line(step);
  CHECK(text == std::string(StepLines::header()) + kText);

  const TempDir dir;
  StepsReader reader(dir.write("steps.csv", text));
  for (const RecordedStep& wanted : some_steps()) {
    const RecordedStep* const step = reader.next();
    REQUIRE(step != nullptr);
    CHECK(step->index == wanted.index);
    CHECK(step->begin == wanted.begin);
    CHECK(step->time == wanted.time);
    CHECK(step->plan == wanted.plan);
  }
  CHECK(reader.next() == nullptr);
}

TEST_CASE("steps file: what is broken is refused with line and column") {
  struct Row {
    std::string from, to, message;
  };
  const std::vector<Row> rows = {
      {"p0:0:2048", "p0:0:2047", ":2:18: expected what the plan amounts to"},
      {"1,1500,1600", "2,1500,1600", ":3:1: expected step 1, found 2"},
      {"1,1500,1600", "01,1500,1600", ":3:1: expected what the plan amounts to, '1', found '01'"},
      {"1,1500,1600", "1,1500,0", ":3:8: expected a time above 0, found 0"},
      {"1,1500,1600", "1,-1500,1600", ":3:3: expected begin_ns, a whole number"},
      {"1,1500,1600", "1,1500;1600", ":3:7: expected ',' after begin_ns, found ';1600'"},
      {"r4:128:300", "x4:128:300", ":3:42: expected a piece that begins with d, p, P or r"},
      {"r4:128:300", "r4;128:300", ":3:44: expected ':' between slot and past"},
      {"r4:128:300", "r4:128:99999999999999", "expected tokens, a whole number of at most"},
      {"r4:128:300", "r9999999999:128:300", "expected a slot, a whole number of at most"},
      {"P0:2048\n", "P0:2048 \n", "expected a piece that begins with d, p, P or r, found nothing"},
      {"P0:2048\n", "P0:2048:1\n", "expected what the plan amounts to"},
      {"P0:2048\n", "P0:2048,\n", "expected the end of the plan"},
      {"d4:433 d0:2049", "=", ":4:"},
      {"p0:0:2048", "=", ":2:"},
      {"=\n", "d4:434 d0:2050\n", ":5:"},
      {",9,d0:2051\n", ",9,d0:2051", "the file is cut here"},
      {",9,d0:2051\n", ",9", "the file is cut here"},
      {"4,9000000000041,22,1,1,2051,0,0,0,0,0,0,0,9,d0:2051\n", "4,90\n", ":6:5: expected ','"},
      {"step,begin_ns", "step,begin", ":1:1: expected the header of a log of steps"},
  };
  const TempDir dir;
  const std::string good = std::string(StepLines::header()) + kText;
  for (const Row& row : rows) {
    CAPTURE(row.to);
    CAPTURE(row.message);
    std::string text = good;
    const std::size_t at = text.find(row.from);
    REQUIRE(at != std::string::npos);
    text.replace(at, row.from.size(), row.to);
    try {
      StepsReader reader(dir.write("steps.csv", text));
      while (reader.next() != nullptr) continue;
      FAIL_CHECK("was not refused");
    } catch (const InputError& error) {
      const std::string message = error.what();
      CAPTURE(message);
      CHECK(message.find(row.message) != std::string::npos);
    }
  }
}

TEST_CASE("steps file: any one changed byte is refused or reads as other steps") {
  const TempDir dir;
  const std::string good = std::string(StepLines::header()) + kText;
  std::int64_t refused = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char c : {'0', '9', ',', ' ', '=', 'd', '\n'}) {
      if (good[at] == c) continue;
      std::string text = good;
      text[at] = c;
      std::string again(StepLines::header());
      StepLines lines;
      try {
        StepsReader reader(dir.write("steps.csv", text));
        while (const RecordedStep* step = reader.next()) again += lines.line(*step);
      } catch (const InputError&) {
        ++refused;
        continue;
      }
      CHECK(again == text);
    }
  }
  CHECK(refused > 1000);
}

TEST_CASE("steps file: a killed run leaves all of its steps, in whole lines") {
  const TempDir dir;
  const std::string out = dir / "run";
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    RunDirectory directory(out, false);
    const TextSink steps = directory.stream(kStepsFile);
    steps(StepLines::header());
    StepLines lines;
    for (const RecordedStep& step : some_steps()) steps(lines.line(step));
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK_FALSE(std::filesystem::exists(out + "/steps.csv"));
  CHECK(file_text(out + "/steps.csv.partial") == std::string(StepLines::header()) + kText);

  // The next run in its place.
  CHECK_THROWS_AS(RunDirectory(out, false), InputError);
  RunDirectory directory(out, true);
  const TextSink steps = directory.stream(kStepsFile);
  steps("one line\n");
  CHECK(directory.partial_files() == std::vector<std::string>{out + "/steps.csv.partial"});
  CHECK(file_text(out + "/steps.csv.partial") == "one line\n");
  directory.write({{"other", [](const TextSink& sink) { sink("text"); }}});
  CHECK(file_text(out + "/steps.csv") == "one line\n");
  CHECK_FALSE(std::filesystem::exists(out + "/steps.csv.partial"));
}

TEST_CASE("steps file: a link in its place is replaced, not followed") {
  const TempDir dir;
  const std::string elsewhere = dir.write("elsewhere", "untouched");
  std::filesystem::create_directory(dir / "run");
  std::filesystem::create_symlink(elsewhere, dir / "run/steps.csv.partial");
  RunDirectory directory(dir / "run", true);
  directory.stream(kStepsFile)("steps\n");
  CHECK(file_text(elsewhere) == "untouched");
  CHECK(file_text(dir / "run/steps.csv.partial") == "steps\n");
}

}  // namespace
}  // namespace v4cap
