#include "sim/cache/cache_replay.h"

#include <algorithm>

#include "sim/cache/point_retention.h"
#include "sim/cache/point_scores.h"
#include "sim/cache/prefix_index.h"
#include "sim/core/error.h"

namespace v4cap {

namespace {

class Replay {
 public:
  Replay(const Trace& trace, const Layout& layout, const SwaPolicy& policy,
         const ReplayOptions& options)
      : trace_(trace),
        layout_(layout),
        policy_(policy),
        options_(options),
        block_(options.block),
        window_(policy.stores_window_of_every_token()),
        point_limit_(point_budget(layout, policy.retention())),
        scores_(policy.make_scores()),
        index_(layout, block_, window_, point_retention(policy, layout), scores_.get(),
               dead_ends(policy, layout)) {}

  CacheTotals run() {
    for (std::uint32_t r = 0; r < trace_.requests.size(); ++r) request(r);
    totals_.evicted = index_.evicted();
    totals_.points = index_.point_count();
    index_.check();
    V4CAP_CHECK(totals_.written - index_.evicted() == index_.cached(),
                "bytes written, evicted and cached do not add up");
    return totals_;
  }

 private:
  void request(std::uint32_t r) {
    const TraceRequest& wanted = trace_.requests[r];
    replay_keys(trace_, r, options_, scratch_, keys_);
    const auto match = index_.match(keys_.keys, keys_.prompt_blocks);
    const Tokens behind = block_ * match.blocks;
    const Tokens cached = std::min(behind, wanted.prompt);
    const Resume resume =
        policy_.resume(cached, index_.last_point(match, behind, policy_.points_a_hit()));
    count_hit(layout_, policy_, block_, wanted, resume, totals_);

    NodeId cursor = index_.lock(match);
    index_.use_points(cursor, behind, resume.position, policy_.points_a_hit());
    const auto appended = index_.append(cursor, keys_.keys, match.blocks, keys_.blocks);
    cursor = appended.cursor;
    totals_.written += layout_.blocks(match.blocks + appended.adopted, keys_.blocks, window_);
    keep_points(wanted, resume.position, cached, cursor);
    index_.release(cursor);
    make_room();
  }

  void keep_points(const TraceRequest& wanted, Tokens from, Tokens cached, NodeId cursor) {
    const Tokens prompt_end = block_ * keys_.full_blocks;
    const Tokens end = block_ * keys_.blocks;
    const Tokens whole =
        keys_.blocks > keys_.prompt_blocks ? end : prompt_end;  // without a partial block
    const PointContext context{prompt_end, round_down(cached, block_)};
    for (Tokens at = policy_.next_point(from, context); at <= whole && at != kNoPoint;
         at = policy_.next_point(at, context)) {
      keep(cursor, at, point_bytes(policy_, layout_, block_, at), policy_.reason(at, context));
    }
    if (!policy_.keeps_output_end() || end <= prompt_end) return;
    const bool partial = keys_.blocks == keys_.prompt_blocks;
    if (partial && !policy_.keeps_partial_blocks()) return;
    // Where the output ended, or the prompt's partial last block where that has an id.
    keep(cursor, end, layout_.point(partial ? wanted.prompt : end),
         partial ? PointReason::prompt_end : PointReason::output_end);
  }

  void keep(NodeId cursor, Tokens at, const KindBytes& bytes, PointReason reason) {
    if (index_.add_point(cursor, at, bytes, reason)) totals_.written += bytes;
  }

  void make_room() {
    while (index_.point_bytes().total().value > point_limit_ && index_.evict_point()) {
    }
    for (const PoolSpec& pool : layout_.pools()) {
      while (pool.bytes_of(index_.cached()) > pool.capacity.value) {
        const bool evicted = index_.evict(pool.has_blocks());
        V4CAP_CHECK(evicted, "cached bytes without a cached block");
      }
    }
  }

  const Trace& trace_;
  const Layout& layout_;
  const SwaPolicy& policy_;
  ReplayOptions options_;
  Tokens block_;
  bool window_;
  std::int64_t point_limit_;
  std::unique_ptr<PointScores> scores_;
  PrefixIndex index_;
  std::vector<IdRun> scratch_;
  ReplayKeys keys_;
  CacheTotals totals_;
};

}  // namespace

void replay_keys(const Trace& trace, std::uint32_t request, const ReplayOptions& options,
                 std::vector<IdRun>& scratch, ReplayKeys& out) {
  const TraceRequest& wanted = trace.requests[request];
  out.keys.clear();
  out.full_blocks = out.prompt_blocks = out.blocks = wanted.prompt / options.block;
  if (options.reuse_generated) {
    sequence_keys(trace, request, options.block, scratch, out.keys);
    out.blocks = block_count(out.keys);
    return;
  }
  const bool partial = trace.partial_last_block && options.block == trace.block &&
                       wanted.prompt % options.block > Tokens{0};
  if (partial) out.prompt_blocks = out.blocks = out.full_blocks + 1;
  append_keys(trace.runs_of(wanted), trace.block, options.block, out.blocks, out.keys);
  // Ids may cover less than the prompt; nothing is known of the rest.
  out.blocks = out.prompt_blocks = std::min(out.blocks, block_count(out.keys));
  out.full_blocks = std::min(out.full_blocks, out.blocks);
}

void count_hit(const Layout& layout, const SwaPolicy& policy, Tokens block,
               const TraceRequest& wanted, const Resume& resume, CacheTotals& totals) {
  const Tokens hit = std::min(resume.position, wanted.prompt - Tokens{1});
  totals.prompt += wanted.prompt;
  totals.hit += hit;
  totals.rebuilt += resume.rebuild;
  if (hit == Tokens{0}) return;
  ++totals.hits;
  totals.read += layout.blocks(0, hit / block, false);
  if (resume.rebuild > Tokens{0}) return;
  // The point that was kept, which lies behind the last prompt token when all of it is cached.
  KindBytes window = layout.point(std::min(resume.position, wanted.prompt));
  if (policy.stores_window_of_every_token()) window[CacheKind::tails] = 0;  // `full` keeps none
  totals.read += window;
}

CacheTotals replay_cache(const Trace& trace, const Layout& layout, const SwaPolicy& policy,
                         const ReplayOptions& options) {
  V4CAP_CHECK(options.block > Tokens{0} && blocks_compatible(trace.block, options.block),
              "blocks that do not nest");
  return Replay(trace, layout, policy, options).run();
}

}  // namespace v4cap
