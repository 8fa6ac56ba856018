// A process for each family, so that a fault of a kernel ends one family and no more.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace v4cap::exec::calibrate {

struct ChildTask {
  std::vector<std::string> arguments;  // without the program's name
  std::string log;                     // stdout and stderr go there
  std::string progress;                // a file that grows while the child works, beside the log
  double quiet_limit_s = 0;            // neither grows for so long: it hangs, and is killed
};

struct ChildEnd {
  enum class How : std::uint8_t { exited, signalled, hung, interrupted };
  How how = How::exited;
  int code = 0;  // exit code or signal
};

class Children {
 public:
  virtual ~Children() = default;
  // Returns when the child has ended. Throws RunError "process" when it cannot be started.
  virtual ChildEnd run(const ChildTask& task) = 0;
};

// Real ones, of a program. `interrupted` is asked while one runs; true ends it.
class ProcessChildren : public Children {
 public:
  ProcessChildren(std::string program, std::function<bool()> interrupted)
      : program_(std::move(program)), interrupted_(std::move(interrupted)) {}
  ChildEnd run(const ChildTask& task) override;

 private:
  std::string program_;
  std::function<bool()> interrupted_;
};

}  // namespace v4cap::exec::calibrate
