// An order of use among elements of a vector that carry `older` and `younger`. Element 0 closes the
// ring: its older neighbour is the youngest element, its younger one the oldest.
#pragma once

#include <vector>

namespace v4cap {

template <class Element, class Id>
void ring_push_youngest(std::vector<Element>& elements, Id id) {
  elements[id].younger = 0;
  elements[id].older = elements[0].older;
  elements[elements[0].older].younger = id;
  elements[0].older = id;
}

template <class Element, class Id>
void ring_remove(std::vector<Element>& elements, Id id) {
  const Id older = elements[id].older, younger = elements[id].younger;
  elements[older].younger = younger;
  elements[younger].older = older;
}

}  // namespace v4cap
