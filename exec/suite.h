// What `check` and `bench` walk over. A suite is one file under exec/suites that registers the
// cases of an operator; a case holds operands on the device and knows how to judge and count what
// any version of its operator made of them. A new version of an operator is in every case by
// itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "exec/device.h"
#include "kernels/registry.h"
#include "kernels/usable.h"
#include "kernels/work.h"

namespace v4cap::exec {

// One comparison with the reference. It passes when error <= tolerance.
struct Finding {
  std::string what;
  double error = 0;
  double tolerance = 0;
};

struct VersionInfo {
  std::string name;
  kernels::Target target = kernels::Target::portable;
  bool never_run = false;
  std::string idea;
  std::string refusal;  // why it cannot take this case on this device; "" when it can
  std::string id = {};  // among all operators (kernels::version_id); "" for whole layers
  bool usable = true;   // kernels::usable
};

class Case {
 public:
  virtual ~Case() = default;
  virtual std::vector<VersionInfo> versions(const Device& device) = 0;
  virtual void launch(std::size_t version, kernels::Stream stream) = 0;
  // Fills the scratch memory of earlier launches with poison: a version must not count on zeros.
  virtual void poison_workspace() {}
  // Called before each checked launch: fills every output with poison, and puts operands that the
  // operator changes back to what they were.
  virtual void reset() = 0;
  // How often a check launches and judges: twice shows what a launch leaves behind for the next.
  virtual int launches() const { return 2; }
  // After a launch has finished: outputs against the reference.
  virtual std::vector<Finding> judge() = 0;
  virtual kernels::Work work() const = 0;
};

// A case of an operator with these arguments; the versions come from the registry.
template <class Args>
class OperatorCase : public Case {
 public:
  virtual Args args(Side side) = 0;

  std::vector<VersionInfo> versions(const Device& device) override {
    std::vector<VersionInfo> infos;
    const Args given = args(Side::device);
    for (const auto& v : versions_) {
      VersionInfo info{.name = std::string(v.name),
                       .target = v.target,
                       .never_run = v.never_run,
                       .idea = std::string(v.idea),
                       .refusal = "",
                       .id = kernels::version_id<Args>(v.name),
                       .usable = kernels::usable(v)};
      if (!kernels::runs_on(v.target, device.major, device.minor)) {
        info.refusal = "needs " + std::string(kernels::to_string(v.target));
      } else if (v.refuses != nullptr) {
        info.refusal = v.refuses(given);
      }
      infos.push_back(std::move(info));
    }
    return infos;
  }

  void launch(std::size_t index, kernels::Stream stream) override {
    const auto& version = versions_[index];
    const Args given = args(Side::device);
    const std::size_t bytes =
        version.workspace_bytes == nullptr ? 0 : version.workspace_bytes(given);
    if (bytes > workspace_.bytes()) {
      workspace_ = DeviceMemory(bytes);
      poison_workspace();
    }
    version.launch(given, workspace_.get(), stream);
  }

  void poison_workspace() override { poison(workspace_.get(), workspace_.bytes()); }

 private:
  std::vector<kernels::Version<Args>> versions_ = kernels::versions<Args>();
  DeviceMemory workspace_;
};

// A figure to reach: "at least 300 TFLOP/s" or "at most 20 us".
struct Goal {
  double first_rung = 0;  // 0: none
  double to_beat = 0;     // 0: none
  std::string unit;       // "us", "TFLOP/s", "% HBM"
  std::string origin;     // "published" or "estimated"
  std::string source;     // shape, GPU, cold or warm L2, where it stands
  bool cold = true;       // which of our two times it is held against
};

struct CaseSpec {
  std::string name;  // model, phase and sizes
  std::function<std::unique_ptr<Case>(std::uint64_t seed)> make;
  bool small = false;  // quick enough under compute-sanitizer
  Goal goal = {};
};

struct Suite {
  std::string name;  // the operator
  std::vector<CaseSpec> check = {}, bench = {};
};

// All suites by name.
std::vector<Suite>& registered_suites();
struct RegisterSuite {
  explicit RegisterSuite(Suite suite) { registered_suites().push_back(std::move(suite)); }
};
std::vector<Suite> suites();

// ||got - expected|| / ||expected|| over everything and over the worst row of `width`, whose
// tolerance is `row_factor` times larger. Not finite where `got` is not.
std::vector<Finding> compare(const std::string& what, const std::vector<double>& expected,
                             const std::vector<double>& got, std::int64_t width, double tolerance,
                             double row_factor = 4);
// Keeps for each `what` the worst finding.
void keep_worst(std::vector<Finding>& worst, const std::vector<Finding>& findings);

// The share of elements that differ.
Finding compare_exactly(const std::string& what, const std::vector<std::int32_t>& expected,
                        const std::vector<std::int32_t>& got);

}  // namespace v4cap::exec
