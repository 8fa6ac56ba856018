// Who is least worth keeping: the seam between the prefix index, which knows what is kept, and a
// policy that keeps what is most likely to be used again.
#pragma once

#include "sim/cache/prefix_index.h"

namespace v4cap {

class PointScores {
 public:
  // What goes next: the window that a point keeps, or the blocks up to a point that ends a leaf.
  struct Choice {
    PointId point = kNoPointId;
    bool blocks = false;
  };

  virtual ~PointScores() = default;
  // A request was admitted: the unit that ages are counted in.
  virtual void tick() = 0;
  // What happened to a point: it is new (or kept again), a request's known prefix ended at it, it
  // ends a leaf now, its window is given up (it stays as a mark), it goes (it is still there).
  virtual void added(const PrefixIndex& index, PointId id) = 0;
  virtual void used(const PrefixIndex& index, PointId id) = 0;
  virtual void became_leaf(const PrefixIndex& index, PointId id) = 0;
  virtual void dropped(const PrefixIndex& index, PointId id) = 0;
  virtual void removed(const PrefixIndex& index, PointId id) = 0;
  // The least valuable; without `blocks` among windows only. kNoPointId when there is none.
  virtual Choice lowest(const PrefixIndex& index, bool blocks) = 0;
};

}  // namespace v4cap
