// Ranks that time whole layers together, a process on each GPU: they add up what each of them has
// behind attention and experts, as a replay on several GPUs does. Rank 0 measures; the others run the
// same launches, and hear from it what to run and when enough was run.
//
//   rank 0                                     others (started by rank 0)
//   RankTeam team(context);                    RankTeam team(context, seat);
//   team.begin(task); time_layers(...); ...    while (auto task = team.next()) time_layers(...);
//   team.end();
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exec/calibrate/family.h"
#include "exec/calibrate/layer_task.h"
#include "exec/collectives/communicator.h"
#include "exec/collectives/rank_board.h"
#include "exec/device.h"
#include "exec/step/stream_executor.h"

namespace v4cap::exec::calibrate {

class RankTeam {
 public:
  // On rank 0: starts the others, one for each further GPU of `context.rank`. Both return when all
  // ranks have come. Throw RunError as PeerProcesses, RankBoard and Communicator do; a rank that is
  // lost later ends this process with an error that names it.
  explicit RankTeam(const MeasureContext& context);
  RankTeam(const MeasureContext& context, const PeerSeat& seat);
  ~RankTeam();
  RankTeam(const RankTeam&) = delete;
  RankTeam& operator=(const RankTeam&) = delete;

  int index() const { return index_; }
  RankSum sum();

  // Rank 0: what comes next; and that nothing does.
  void begin(const LayerTask& task);
  void end();
  // The others: the next task; none when there is no other.
  std::optional<LayerTask> next();

  // What rank 0 says, on all ranks; asked on all of them in the same order.
  bool agreed(bool mine);
  // Queues a point of the stream that all ranks reach at the same time.
  void meet(kernels::Stream stream);

 private:
  enum class Saying : std::uint8_t { task, decision, end };

  RankMessage hear(Saying expected, bool or_end);

  int index_ = 0;
  RankBoard board_;
  std::unique_ptr<PeerProcesses> peers_;  // of rank 0
  std::unique_ptr<Communicator> ranks_;
  DeviceMemory meeting_;
  bool ended_ = false;
};

}  // namespace v4cap::exec::calibrate
