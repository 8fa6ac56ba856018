# cmake -DROOT=... -DOUT=... -P source_hash.cmake
# Writes to OUT a hash of every source that a simulation's result can depend on: names and content of sim, traces and
# the headers of kernels. OUT is left alone when nothing has changed.
file(GLOB_RECURSE sources RELATIVE ${ROOT}
  ${ROOT}/sim/*.h ${ROOT}/sim/*.cpp ${ROOT}/traces/*.h ${ROOT}/traces/*.cpp ${ROOT}/kernels/*.h)
list(SORT sources)
set(all "")
foreach(source IN LISTS sources)
  file(SHA256 ${ROOT}/${source} one)
  string(APPEND all "${source} ${one}\n")
endforeach()
string(SHA256 hash "${all}")
string(SUBSTRING ${hash} 0 32 hash)
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define V4CAP_SOURCES \"${hash}\"\n")
