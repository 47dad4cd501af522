# Installation, and the Debian package that tools/package builds and lintian checks.
#
#   bin/hearth                          the command
#   bin/hearth-controller, -worker      the programs of a fleet
#   libexec/hearth/hearth-sandboxd      started by hearth, not by people
#   libexec/hearth/hearth-unpack        started by hearth, for each archive
#   libexec/hearth/hearth-zygote        started by hearth-sandboxd
#   bin/hearth-bench                    puts load on a server; with its man page
#   share/hearth/runtimes/python        what runs inside a sandbox, and the examples
#   share/man/man1/hearth.1, hearth-controller.1, hearth-worker.1
#   lib/systemd/system/hearth.service   `hearth dev` as a service
#   lib/systemd/system/hearth-controller.service, hearth-worker.service
include(GNUInstallDirs)

if(TARGET hearth)
    install(TARGETS hearth RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
foreach(program hearth-controller hearth-worker)
    if(TARGET ${program})
        install(TARGETS ${program} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
    endif()
endforeach()
if(TARGET hearth-sandboxd)
    install(TARGETS hearth-sandboxd RUNTIME DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/hearth")
endif()
if(TARGET hearth-unpack)
    install(TARGETS hearth-unpack RUNTIME DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/hearth")
endif()
if(TARGET hearth-zygote)
    install(TARGETS hearth-zygote RUNTIME DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/hearth")
endif()
install(DIRECTORY "${CMAKE_SOURCE_DIR}/runtimes/python"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/hearth/runtimes"
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ
    DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                          WORLD_READ WORLD_EXECUTE
    PATTERN "__pycache__" EXCLUDE
    PATTERN "CMakeLists.txt" EXCLUDE
    PATTERN "examples" EXCLUDE)
# Debian's place for examples; not part of what runs.
install(DIRECTORY "${CMAKE_SOURCE_DIR}/runtimes/python/examples"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/hearth"
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ
    DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                          WORLD_READ WORLD_EXECUTE
    PATTERN "__pycache__" EXCLUDE)

# Debian wants these compressed without a time stamp, so that a build can be repeated bit by bit.
find_program(HEARTH_GZIP gzip REQUIRED)
function(hearth_install_compressed source name destination)
    set(compressed "${CMAKE_BINARY_DIR}/package/${name}.gz")
    add_custom_command(OUTPUT "${compressed}"
        COMMAND ${CMAKE_COMMAND} -E make_directory "${CMAKE_BINARY_DIR}/package"
        COMMAND sh -c "\"$1\" -9 -n -c \"$2\" > \"$3\"" sh
                "${HEARTH_GZIP}" "${source}" "${compressed}"
        DEPENDS "${source}" VERBATIM)
    set_property(GLOBAL APPEND PROPERTY HEARTH_COMPRESSED "${compressed}")
    install(FILES "${compressed}" DESTINATION "${destination}")
endfunction()
foreach(page hearth.1 hearth-controller.1 hearth-worker.1)
    hearth_install_compressed("${CMAKE_SOURCE_DIR}/docs/man/${page}" ${page}
        "${CMAKE_INSTALL_MANDIR}/man1")
endforeach()
hearth_install_compressed("${CMAKE_SOURCE_DIR}/docs/debian/changelog" changelog
    "${CMAKE_INSTALL_DATADIR}/doc/hearth")
install(FILES "${CMAKE_SOURCE_DIR}/docs/debian/copyright"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/hearth")
foreach(unit hearth hearth-controller hearth-worker)
    install(FILES "${CMAKE_SOURCE_DIR}/docs/debian/${unit}.service"
        DESTINATION lib/systemd/system)
endforeach()
get_property(compressed_files GLOBAL PROPERTY HEARTH_COMPRESSED)
add_custom_target(hearth_package_files ALL DEPENDS ${compressed_files})

# The load generator and its page: for whoever wants to know what a host of theirs can do.
if(TARGET hearth-bench)
    install(TARGETS hearth-bench RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
    set(bench_page "${CMAKE_BINARY_DIR}/package/hearth-bench.1.gz")
    hearth_install_compressed("${CMAKE_SOURCE_DIR}/docs/man/hearth-bench.1" hearth-bench.1
        "${CMAKE_INSTALL_MANDIR}/man1")
    add_custom_target(hearth_bench_page ALL DEPENDS "${bench_page}")
    add_dependencies(hearth_package_files hearth-bench hearth_bench_page)
endif()

# An installation takes what was built, without building the tests first.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_NAME hearth)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_CONTACT "Hearth maintainers <maintainers@hearth.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "self-hosted platform that runs Python functions")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Hearth runs Python functions on one's own machines. A function is uploaded as
a file or a zip and called over HTTP, synchronously or as a job, in a sandbox
that stays warm between calls: its own namespaces, read-only root, system call
filter, and limits on memory and processes.
.
This package has the server with its embedded storage, the controller and the
worker of a fleet on AWS services, the sandbox manager and the Python runtime.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION httpd)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, python3")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3-numpy, python3-pandas, python3-pil")
# The account, the first key, and hearth.service: enabled and started, as Debian's services are. The
# fleet's units are neither: without their settings they could only fail.
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${CMAKE_SOURCE_DIR}/docs/debian/postinst"
    "${CMAKE_SOURCE_DIR}/docs/debian/prerm" "${CMAKE_SOURCE_DIR}/docs/debian/postrm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_STRIP_FILES ON)
# The folders' own modes must not depend on who builds.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
    GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_OUTPUT_FILE_PREFIX "${CMAKE_BINARY_DIR}/package")
include(CPack)
