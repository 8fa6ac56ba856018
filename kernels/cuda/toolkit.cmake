# Looks for a CUDA toolkit and says how .cu files are compiled. Sets V4CAP_CUDA.
#
#   V4CAP_CUDA_TARGETS   what machine code is built: "all" (what is shipped), or a list such as
#                        "sm_90a" for a quick build for one GPU; tuned versions of other
#                        architectures are then left out

include(CheckLanguage)
# CMake 3.25 would try an architecture that CUDA 13 has dropped; ours are given per library.
set(CMAKE_CUDA_ARCHITECTURES 90 CACHE STRING "")
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(STATUS "No CUDA compiler: v4exec is not built (v4cap needs none)")
  set(V4CAP_CUDA OFF)
  return()
endif()
enable_language(CUDA)
find_package(CUDAToolkit 13.0 QUIET)
if(NOT CUDAToolkit_FOUND)
  message(STATUS "CUDA toolkit older than 13.0: v4exec is not built (v4cap needs none)")
  set(V4CAP_CUDA OFF)
  return()
endif()
message(STATUS "CUDA ${CUDAToolkit_VERSION} found: v4exec is built")
set(V4CAP_CUDA ON)
# CMake 3.25 does not know that nvcc 13 speaks C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)

set(V4CAP_CUDA_TARGETS all CACHE STRING "all, or a list of sm_90a, sm_100a")
if(V4CAP_CUDA_TARGETS STREQUAL "all")
  set(V4CAP_PORTABLE_ARCHITECTURES sm_90 sm_100 compute_90)
else()
  set(V4CAP_PORTABLE_ARCHITECTURES)
  foreach(target ${V4CAP_CUDA_TARGETS})
    string(REGEX REPLACE "a$" "" plain ${target})
    list(APPEND V4CAP_PORTABLE_ARCHITECTURES ${plain})
  endforeach()
endif()

# An object library of .cu files for these architectures, warnings fatal, spills of registers too.
function(v4cap_cuda_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ARCHITECTURES;SOURCES")
  set(wanted)
  foreach(architecture ${arg_ARCHITECTURES})
    if(V4CAP_CUDA_TARGETS STREQUAL "all" OR NOT architecture MATCHES "a$" OR
       architecture IN_LIST V4CAP_CUDA_TARGETS)
      list(APPEND wanted ${architecture})
    endif()
  endforeach()
  if(NOT arg_SOURCES OR NOT wanted)
    add_library(${name} INTERFACE)
    return()
  endif()
  add_library(${name} OBJECT ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES CUDA_ARCHITECTURES OFF)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC CUDA::cudart_static CUDA::cublasLt)
  set(flags --extended-lambda --expt-relaxed-constexpr -lineinfo --threads=0
    --Werror=all-warnings -Xptxas=--warn-on-spills -Xptxas=--warning-as-error
    -Xcompiler=-Wall,-Wextra,-Wno-unused-parameter)
  foreach(architecture ${wanted})
    if(architecture MATCHES "^compute_(.*)$")
      list(APPEND flags "SHELL:-gencode arch=${architecture},code=${architecture}")
    else()
      string(REPLACE "sm_" "compute_" virtual ${architecture})
      list(APPEND flags "SHELL:-gencode arch=${virtual},code=${architecture}")
    endif()
  endforeach()
  target_compile_options(${name} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${flags}>")
endfunction()
