# Refuses an extension without the metadata that the Extensions Index requires, and records what was found.
foreach(field HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS RECOMMENDS KEYWORDS)
  if("${EXTENSION_${field}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${field} is not set")
  endif()
  file(APPEND ${CMAKE_BINARY_DIR}/metadata.txt "${field}=${EXTENSION_${field}}\n")
endforeach()
file(APPEND ${CMAKE_BINARY_DIR}/metadata.txt "NAME=${PROJECT_NAME}\n")
