#include "exec/calibrate/rank_team.h"

#include <cstdio>

#include "sim/core/error.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr double kEndOfPeersS = 30;

std::vector<PeerTask> peer_tasks(const MeasureContext& context, const std::string& id, int board) {
  std::vector<PeerTask> tasks;
  for (int rank = 1; rank < context.rank.gpus; ++rank) {
    tasks.push_back(context.peers->task({rank, context.rank.gpus, id, board}));
  }
  return tasks;
}

}  // namespace

RankTeam::RankTeam(const MeasureContext& context) : meeting_(sizeof(double)) {
  V4CAP_CHECK(context.peers != nullptr && context.rank.gpus > 1, "a team of one rank");
  const std::string id = Communicator::new_id();
  peers_ = std::make_unique<PeerProcesses>(context.peers->program,
                                           peer_tasks(context, id, board_.fd()), end_process);
  ranks_ = std::make_unique<Communicator>(id, 0, context.rank.gpus);
}

RankTeam::RankTeam(const MeasureContext& /*context*/, const PeerSeat& seat)
    : index_(seat.rank),
      board_(seat.board),
      ranks_(std::make_unique<Communicator>(seat.id, seat.rank, seat.ranks)),
      meeting_(sizeof(double)) {}

RankTeam::~RankTeam() {
  if (peers_ == nullptr) return;
  try {
    end();
    peers_->finish(kEndOfPeersS);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "the other ranks: %s\n", error.what());
  }
}

RankSum RankTeam::sum() {
  return
      [ranks = ranks_.get()](kernels::Bf16* data, std::int64_t elements, kernels::Stream stream) {
        ranks->all_reduce(data, data, static_cast<std::size_t>(elements), stream);
      };
}

void RankTeam::begin(const LayerTask& task) {
  const LayerTaskNumbers n = numbers_of(task);
  board_.say({static_cast<std::int64_t>(Saying::task), n[0], n[1], n[2], n[3], n[4]});
}

void RankTeam::end() {
  if (std::exchange(ended_, true)) return;
  peers_->may_end();
  board_.say({static_cast<std::int64_t>(Saying::end)});
}

RankMessage RankTeam::hear(Saying expected, bool or_end) {
  const RankMessage m = board_.hear();
  const auto saying = static_cast<Saying>(m[0]);
  V4CAP_CHECK(saying == expected || (or_end && saying == Saying::end),
              "rank 0 said " + std::to_string(m[0]) + ", expected " +
                  std::to_string(static_cast<int>(expected)));
  return m;
}

std::optional<LayerTask> RankTeam::next() {
  const RankMessage m = hear(Saying::task, true);
  if (static_cast<Saying>(m[0]) == Saying::end) return std::nullopt;
  return layer_task_of({m[1], m[2], m[3], m[4], m[5]});
}

bool RankTeam::agreed(bool mine) {
  if (index_ > 0) return hear(Saying::decision, false)[1] != 0;
  board_.say({static_cast<std::int64_t>(Saying::decision), mine ? 1 : 0});
  return mine;
}

void RankTeam::meet(kernels::Stream stream) {
  ranks_->all_reduce(static_cast<double*>(meeting_.get()), 1, Reduction::max, stream);
}

}  // namespace v4cap::exec::calibrate
