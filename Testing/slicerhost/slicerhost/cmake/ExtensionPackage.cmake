if(NOT EXISTS ${CMAKE_BINARY_DIR}/metadata.txt)
  message(FATAL_ERROR "Slicer_EXTENSION_CPACK was included before Slicer_EXTENSION_GENERATE_CONFIG")
endif()
file(APPEND ${CMAKE_BINARY_DIR}/metadata.txt "PACKAGED=ON\n")
