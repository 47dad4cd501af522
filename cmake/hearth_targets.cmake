# Helpers that keep each folder's CMakeLists.txt to the lines that differ.

# hearth_library(name DEPENDS targets...): a static library of every .cc in the calling folder.
function(hearth_library name)
    cmake_parse_arguments(arg "" "" "DEPENDS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
    if(sources)
        add_library(${name} STATIC ${sources})
        target_include_directories(${name} PUBLIC "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}")
        target_link_libraries(${name} PRIVATE hearth_options PUBLIC ${arg_DEPENDS})
    else()
        add_library(${name} INTERFACE)
        target_include_directories(${name} INTERFACE "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}")
        target_link_libraries(${name} INTERFACE ${arg_DEPENDS})
    endif()
endfunction()

# hearth_test(name DEPENDS targets... [LABELS labels...] [FIXTURES fixtures...]): one GoogleTest
# program of every *_test.cc in the calling folder; each TEST is a test of its own for ctest. With
# FIXTURES localcloud the services of tests/support/localcloud.h are up meanwhile.
function(hearth_test name)
    cmake_parse_arguments(arg "" "TIMEOUT" "DEPENDS;LABELS;FIXTURES" ${ARGN})
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()
    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
    if(NOT sources)
        return()
    endif()
    add_executable(${name} ${sources})
    target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}")
    target_link_libraries(${name} PRIVATE hearth_options ${arg_DEPENDS} GTest::gtest GTest::gmock
                                          GTest::gtest_main)
    # One more level of quoting, because the discovery splits lists once more.
    string(REPLACE ";" "\\;" labels "${arg_LABELS}")
    string(REPLACE ";" "\\;" fixtures "${arg_FIXTURES}")
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${name}."
        PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${labels}" FIXTURES_REQUIRED "${fixtures}"
                   ENVIRONMENT "HEARTH_TEST_LOCALCLOUD=${CMAKE_BINARY_DIR}/localcloud")
endfunction()

# hearth_test_again(name suffix ENVIRONMENT variable=value FILTER pattern [LABELS labels...]
# [TIMEOUT seconds]): a program of hearth_test once more, as one test, in another environment.
function(hearth_test_again name suffix)
    cmake_parse_arguments(arg "" "ENVIRONMENT;FILTER;TIMEOUT" "LABELS;UNDER" ${ARGN})
    add_test(NAME ${name}.${suffix}
        COMMAND ${arg_UNDER} "$<TARGET_FILE:${name}>" "--gtest_filter=${arg_FILTER}")
    set_tests_properties(${name}.${suffix} PROPERTIES ENVIRONMENT "${arg_ENVIRONMENT}"
        LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77)
endfunction()

# hearth_fuzz(name SOURCE file DEPENDS targets...): with HEARTH_FUZZ a libFuzzer program; otherwise a
# program that replays the corpus folder of the same name, which the test run calls.
function(hearth_fuzz name)
    cmake_parse_arguments(arg "" "SOURCE" "DEPENDS" ${ARGN})
    add_executable(${name} ${arg_SOURCE})
    target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}")
    target_link_libraries(${name} PRIVATE hearth_options ${arg_DEPENDS})
    if(HEARTH_FUZZ)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
        target_sources(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.cc")
        add_test(NAME fuzz_corpus.${name}
            COMMAND ${name} "${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name}")
        set_tests_properties(fuzz_corpus.${name} PROPERTIES LABELS "unit;fuzz" TIMEOUT 120)
    endif()
endfunction()
