// Launches operators on the GPU, each in the version that is preferred among those that run here
// and take the arguments and have been run on such a GPU before.
#pragma once

#include <string>

#include "exec/device.h"
#include "exec/layer/executor.h"

namespace v4cap::exec {

class DeviceExecutor : public Launching<DeviceExecutor, Executor, Operators> {
 public:
  // `portable_only`: leaves the tuned versions out. With a log, discrete choices are written there.
  DeviceExecutor(const Device& device, bool portable_only, ChoiceLog* record = nullptr);
  ~DeviceExecutor() override;
  DeviceExecutor(const DeviceExecutor&) = delete;
  DeviceExecutor& operator=(const DeviceExecutor&) = delete;

  std::shared_ptr<void> allocate(std::size_t bytes) override;
  void write(void* to, const void* from_host, std::size_t bytes) override;
  void read(void* to_host, const void* from, std::size_t bytes) override;

  using Launching<DeviceExecutor, Executor, Operators>::run;
  void run(const kernels::router::Args& args) override;
  void run(const kernels::topk::Args& args) override;

  kernels::Stream stream() const { return stream_; }

 private:
  template <class Self, class Base, class List>
  friend class Launching;
  template <class Args>
  void launch(const Args& args);

  const Device& device_;
  bool portable_only_;
  ChoiceLog* record_;
  kernels::Stream stream_ = nullptr;
};

}  // namespace v4cap::exec
