// Times exchanges between the GPUs of this host, a process each. Rank 0 is told what to measure and
// sends it on; the others serve() until it is done. Before anything is timed, what the exchange
// brings is compared with what it should: sums of whole numbers exactly.
//
//   rank 0                                     others (started by rank 0)
//   ExchangeBench bench(device, id, 0, ranks); ExchangeBench bench(device, id, r, ranks);
//   Measurement m = bench.measure(task); ...   bench.serve();
//   bench.stop();
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "exec/calibrate/family.h"
#include "exec/collectives/communicator.h"
#include "exec/collectives/exchange_kernels.h"
#include "exec/collectives/exchange_task.h"
#include "exec/device.h"

namespace v4cap::exec {

class ExchangeBench {
 public:
  // Returns when all ranks have come. `device` is the current one and outlives this.
  ExchangeBench(const Device& device, const std::string& id, int rank, int ranks);
  ~ExchangeBench();

  // On rank 0. How long the slowest rank takes for one, over samples. Throws RunError check_failed
  // where a rank got other data than it should, PointRefused where `task` cannot be done.
  calibrate::Measurement measure(const ExchangeTask& task);
  void stop();  // on rank 0: the others return from serve()

  void serve();  // on all others

 private:
  struct Shared;  // memory that other ranks see
  ExchangeTask agree(const ExchangeTask& task);
  void allocate(const ExchangeTask& task);
  void fill(const ExchangeTask& task);
  void check(const ExchangeTask& task);
  void launch(const ExchangeTask& task);
  std::vector<double> samples(const ExchangeTask& task);
  std::vector<double> perform(const ExchangeTask& task);
  void wait(const char* what);

  const Device& device_;
  Communicator ranks_;
  kernels::Stream stream_ = nullptr;
  DeviceMemory in_, out_, numbers_, times_, wrong_;
  Sizes sizes_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace v4cap::exec
