#include "sim/output/run_directory.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <vector>

#include "sim/core/error.h"
#include "tests/golden.h"
#include "tests/sim/output/sample_run.h"
#include "tests/temp_dir.h"

using namespace v4cap;
namespace fs = std::filesystem;

namespace {

std::set<std::string> names(const std::string& directory) {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    found.insert(entry.path().filename().string());
  }
  return found;
}

RunFile file(const std::string& name, const std::string& text) {
  return {name, [text](const TextSink& sink) { sink(text); }};
}

void put(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

// Files larger than this cannot be written: how a full disk looks to write(2), but for the error's
// name.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limited{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = SIG_DFL;
};

// Permissions do not bind root: tests about them run as "nobody" for a while.
class Unprivileged {
 public:
  Unprivileged() {
    if (was_root_) changed_ = ::seteuid(65534) == 0;
  }
  ~Unprivileged() {
    if (changed_ && ::seteuid(0) != 0) std::abort();
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;
  bool works() const { return !was_root_ || changed_; }

 private:
  bool was_root_ = ::geteuid() == 0, changed_ = false;
};

}  // namespace

TEST_CASE("run directory: holds every file of a run") {
  const TempDir tmp;
  const RunResult run = sample_run();
  const RunSummary summary = summarise(run, sample_identity());
  RunDirectory directory{tmp / "a/b/out/", false};
  directory.write(run_files(run, summary, "seed: 7\n"));
  CHECK(names(tmp / "a/b/out") ==
        std::set<std::string>{"scenario.resolved.yaml", "profile_export.jsonl",
                              "profile_export_aiperf.json", "summary.json", "timeline.csv"});
  CHECK(file_text(tmp / "a/b/out/scenario.resolved.yaml") == "seed: 7\n");
  for (const std::string name :
       {"profile_export.jsonl", "profile_export_aiperf.json", "summary.json", "timeline.csv"}) {
    CAPTURE(name);
    CHECK(file_text(tmp / ("a/b/out/" + name)) ==
          file_text(std::string(V4CAP_SOURCE_DIR) + "/tests/golden/" + name));
  }
}

TEST_CASE("run directory: long files come out whole") {
  const TempDir tmp;
  std::string expected;
  for (int i = 0; i < 40'000; ++i) expected += "line " + std::to_string(i) + '\n';
  RunDirectory directory{tmp / "out", false};
  directory.write({{"long.txt", [](const TextSink& sink) {
                      for (int i = 0; i < 40'000; ++i) sink("line " + std::to_string(i) + '\n');
                    }}});
  CHECK(file_text(tmp / "out/long.txt") == expected);
}

TEST_CASE("run directory: refused when not empty, and overwrite touches only its own files") {
  const TempDir tmp;
  put(tmp / "notes.txt", "mine");
  put(tmp / "summary.json", "old");
  CHECK_THROWS_WITH_AS(RunDirectory(tmp.path(), false), doctest::Contains("not empty"), InputError);
  CHECK(file_text(tmp / "summary.json") == "old");
  RunDirectory directory{tmp.path(), true};
  directory.write({file("summary.json", "new")});
  CHECK(file_text(tmp / "summary.json") == "new");
  CHECK(file_text(tmp / "notes.txt") == "mine");
  CHECK(names(tmp.path()) == std::set<std::string>{"notes.txt", "summary.json"});
}

TEST_CASE("run directory: an earlier run's files of names that are outdated go, if it can write") {
  const TempDir tmp;
  put(tmp / "windows.csv", "old");
  put(tmp / "margin.json", "old");
  put(tmp / "notes.txt", "mine");
  RunDirectory directory{tmp.path(), true};
  CHECK_THROWS_AS(directory.write({{"summary.json", [](const TextSink&) { throw RunError("no"); }}},
                                  {"windows.csv", "margin.json"}),
                  RunError);
  CHECK(file_text(tmp / "windows.csv") == "old");
  directory.write({file("windows.csv", "new")}, {"windows.csv", "margin.json", "never.csv"});
  CHECK(file_text(tmp / "windows.csv") == "new");
  CHECK(names(tmp.path()) == std::set<std::string>{"notes.txt", "windows.csv"});
}

TEST_CASE("run directory: hidden files count as content") {
  const TempDir tmp;
  put(tmp / ".git", "");
  CHECK_THROWS_AS(RunDirectory(tmp.path(), false), InputError);
}

TEST_CASE("run directory: an empty existing one is taken, an unused new one goes away") {
  const TempDir tmp;
  fs::create_directory(tmp / "old");
  { const RunDirectory directory{tmp / "old", false}; }
  { const RunDirectory directory{tmp / "new", false}; }
  CHECK(names(tmp.path()) == std::set<std::string>{"old"});
}

TEST_CASE("run directory: one writer at a time, and the lock of a killed one is gone") {
  const TempDir dir;
  const std::string path = dir / "out";
  const auto refuses = [&](bool overwrite) {
    CHECK_THROWS_WITH_AS(RunDirectory(path, overwrite),
                         doctest::Contains("another run is writing into the output directory"),
                         InputError);
  };
  {
    RunDirectory first(path, false);
    refuses(false);
    refuses(true);
    first.write({file("a", "1")});
    RunDirectory(path, true, Writers::many).write({file("b", "2")});
  }
  CHECK(names(path) == std::set<std::string>{"a", "b"});
  // Its second user may have it once it is free; one that wrote nothing took it along.
  RunDirectory(path, true).write({file("a", "3")});
  {
    RunDirectory unused(dir / "unused", false);
    CHECK_THROWS_AS(RunDirectory(dir / "unused", false), InputError);
  }
  RunDirectory(dir / "unused", false).write({file("a", "4")});
  CHECK(names(dir / "unused") == std::set<std::string>{"a"});
  // A process that has it and is killed.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const RunDirectory held(path, true);
    std::ofstream(dir / "held") << "1";
    for (;;) ::pause();
  }
  while (!fs::exists(dir / "held")) ::usleep(1000);
  refuses(true);
  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  RunDirectory(path, true).write({file("a", "5")});
}

TEST_CASE("run directory: of many that begin at once one has it, and its result stays") {
  const TempDir dir;
  for (int round = 0; round < 20; ++round) {
    const std::string path = dir / std::to_string(round), go = path + ".go";
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        while (!fs::exists(go)) ::usleep(100);
        try {
          RunDirectory run(path, false);
          ::usleep(2000);
          run.write({file("result", std::to_string(i))});
          ::_exit(0);
        } catch (const InputError&) {
          ::_exit(2);
        }
      }
      children.push_back(child);
    }
    put(go, "");
    int done = 0, result = -1;
    for (int i = 0; i < 4; ++i) {
      int status = 0;
      REQUIRE(::waitpid(children[static_cast<std::size_t>(i)], &status, 0) > 0);
      REQUIRE(WIFEXITED(status));
      if (WEXITSTATUS(status) != 0) {
        CHECK(WEXITSTATUS(status) == 2);
        continue;
      }
      ++done;
      result = i;
    }
    CHECK(done == 1);
    CHECK(file_text(path + "/result") == std::to_string(result));
  }
}

TEST_CASE("run directory: what is no directory is refused") {
  const TempDir tmp;
  put(tmp / "file", "x");
  fs::create_symlink(tmp / "nowhere", tmp / "dangling");
  CHECK_THROWS_AS(RunDirectory(tmp / "file", true), InputError);
  CHECK_THROWS_AS(RunDirectory(tmp / "file/below", true), InputError);
  CHECK_THROWS_AS(RunDirectory(tmp / "dangling", true), InputError);
  CHECK_THROWS_AS(RunDirectory("", true), InputError);
  CHECK_THROWS_AS(RunDirectory(std::string(5000, 'x'), true), InputError);
  CHECK(file_text(tmp / "file") == "x");
  CHECK_FALSE(fs::exists(tmp / "nowhere"));
}

TEST_CASE("run directory: a link in it is replaced, never written through") {
  const TempDir tmp;
  fs::create_directory(tmp / "out");
  put(tmp / "victim", "precious");
  fs::create_symlink(tmp / "victim", tmp / "out/summary.json");
  fs::create_symlink(tmp / "victim", tmp / "out/.summary.json.partial-0");
  RunDirectory directory{tmp / "out", true};
  directory.write({file("summary.json", "new")});
  CHECK(file_text(tmp / "victim") == "precious");
  CHECK(file_text(tmp / "out/summary.json") == "new");
  CHECK_FALSE(fs::is_symlink(tmp / "out/summary.json"));
}

TEST_CASE("run directory: a link to a directory is followed once, at the start") {
  const TempDir tmp;
  fs::create_directory(tmp / "real");
  fs::create_directory(tmp / "other");
  fs::create_directory_symlink(tmp / "real", tmp / "link");
  RunDirectory directory{tmp / "link", false};
  fs::remove(tmp / "link");
  fs::create_directory_symlink(tmp / "other", tmp / "link");
  directory.write({file("summary.json", "new")});
  CHECK(file_text(tmp / "real/summary.json") == "new");
  CHECK(names(tmp / "other").empty());
}

TEST_CASE("run directory: a failure part-way keeps the old files and leaves no halves") {
  const TempDir tmp;
  put(tmp / "a.txt", "old a");
  put(tmp / "b.txt", "old b");
  RunDirectory directory{tmp.path(), true};
  {
    const FileSizeLimit limit{100'000};
    CHECK_THROWS_WITH_AS(
        directory.write({file("a.txt", "new a"), file("b.txt", std::string(300'000, 'b'))}),
        doctest::Contains("b.txt: cannot be written"), RunError);
  }
  CHECK(file_text(tmp / "a.txt") == "old a");
  CHECK(file_text(tmp / "b.txt") == "old b");
  CHECK(names(tmp.path()) == std::set<std::string>{"a.txt", "b.txt"});
}

TEST_CASE("run directory: a writer that throws leaves nothing") {
  const TempDir tmp;
  RunDirectory directory{tmp / "out", false};
  CHECK_THROWS_AS(directory.write({file("a.txt", "a"),
                                   {"b.txt",
                                    [](const TextSink& sink) {
                                      sink("half");
                                      throw RunError("no");
                                    }}}),
                  RunError);
  CHECK(names(tmp / "out").empty());
}

TEST_CASE("run directory: a directory in the place of a file is reported") {
  const TempDir tmp;
  fs::create_directories(tmp / "out/summary.json/deep");
  RunDirectory directory{tmp / "out", true};
  CHECK_THROWS_WITH_AS(directory.write({file("summary.json", "new")}),
                       doctest::Contains("cannot be replaced"), RunError);
  CHECK(names(tmp / "out") == std::set<std::string>{"summary.json"});
}

TEST_CASE("run directory: read-only places are refused before the run") {
  const TempDir tmp;
  fs::create_directory(tmp / "readonly");
  fs::permissions(tmp.path(), fs::perms{0755});
  fs::permissions(tmp / "readonly", fs::perms{0555});
  {
    const Unprivileged nobody;
    if (nobody.works()) {
      CHECK_THROWS_WITH_AS(RunDirectory(tmp / "readonly", false),
                           doctest::Contains("cannot be written"), InputError);
      CHECK_THROWS_WITH_AS(RunDirectory(tmp / "readonly/new", false),
                           doctest::Contains("cannot be created"), InputError);
    }
  }
  fs::permissions(tmp / "readonly", fs::perms{0755});
}

TEST_CASE("run directory: one that turns read-only during the run fails with the reason") {
  const TempDir tmp;
  fs::permissions(tmp.path(), fs::perms{0777});
  const Unprivileged nobody;
  if (!nobody.works()) return;
  RunDirectory directory{tmp / "out", false};
  fs::permissions(tmp / "out", fs::perms{0555});
  CHECK_THROWS_WITH_AS(directory.write({file("a.txt", "a")}),
                       doctest::Contains("Permission denied"), RunError);
  CHECK(names(tmp / "out").empty());
}
