# Makes the source that holds the report's style and scripts: cmake -D OUT=FILE.cpp -D FOLDER=sim/report
# -D SCRIPTS=a.js,b.js -P embed_web.cmake. Each text is followed by its SHA-256, which the page's content
# security policy names. Our scripts become one function, so that nothing of them is global.
string(REPLACE "," ";" scripts "${SCRIPTS}")

function(joined out)
  set(text "")
  foreach(file IN LISTS ARGN)
    file(READ "${FOLDER}/${file}" part)
    string(APPEND text "${part}")
  endforeach()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# A text that would end its element, or the literal below, would be a hole in the page.
function(add_text name text)
  foreach(forbidden "</script" "</style" "<!--" ")v4cap\"")
    string(FIND "${text}" "${forbidden}" at)
    if(NOT at EQUAL -1)
      message(FATAL_ERROR "${name}: expected no '${forbidden}', found one")
    endif()
  endforeach()
  string(SHA256 hash "${text}")
  file(APPEND "${OUT}" "const WebFile ${name} = {R\"v4cap(${text})v4cap\",\n\"${hash}\"};\n")
endfunction()

file(WRITE "${OUT}" "#include \"sim/report/web_files.h\"\nnamespace v4cap {\n")
joined(style charts/charts.min.css web/report.css)
add_text(kReportStyle "${style}")
joined(charts charts/charts.min.js)
add_text(kReportCharts "${charts}")
list(TRANSFORM scripts PREPEND web/)
joined(code ${scripts})
add_text(kReportScripts "(() => {\n'use strict';\n${code}})();\n")
file(APPEND "${OUT}" "}  // namespace v4cap\n")
