# The target report makes libpqquic-report.a: the archive of a FIPS variant in which each call of a cryptographic service
# reads the module's service indicator. See docs/fips.md. The objects are those of libpqquic.a; ld replaces the calls
# while it joins them, when they are still undefined references.
set(report_dir ${CMAKE_BINARY_DIR}/report)
set(report_archive ${OUTPUT_DIR}/libpqquic-report.a)
set(report_services ${CMAKE_SOURCE_DIR}/cgo/c/report/services)
enable_language(ASM)
add_custom_command(OUTPUT ${report_dir}/wrap.S ${report_dir}/wrap.opts
	COMMAND ${CMAKE_SOURCE_DIR}/build/report ${CMAKE_NM} ${report_services} ${report_dir} ${crypto_lib}
		$<TARGET_OBJECTS:shim> ${s2n_lib}
	DEPENDS ${CMAKE_SOURCE_DIR}/build/report ${report_services} shim $<TARGET_OBJECTS:shim> ${s2n_lib} ${crypto_lib}
	COMMAND_EXPAND_LISTS VERBATIM
	COMMENT "Finding the services that s2n-tls and cgo/c call")
file(GLOB report_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cgo/c/report/*.c)
add_library(report-objects OBJECT EXCLUDE_FROM_ALL ${report_sources} ${report_dir}/wrap.S)
add_dependencies(report-objects awslc)
set_target_properties(report-objects PROPERTIES C_STANDARD 11 POSITION_INDEPENDENT_CODE ON)
target_include_directories(report-objects PRIVATE cgo/c/report cgo/c/include)
target_include_directories(report-objects SYSTEM PRIVATE ${crypto_include})
target_compile_definitions(report-objects PRIVATE _GNU_SOURCE)
target_compile_options(report-objects PRIVATE $<$<COMPILE_LANGUAGE:C>:-O2 -g -Wall -Wextra -Werror ${harden}>)
set(report_try "")
if(NOT CMAKE_CROSSCOMPILING)
	set(report_try COMMAND ${CMAKE_C_COMPILER} -I ${CMAKE_SOURCE_DIR}/cgo/c/include -o ${report_dir}/start
		${CMAKE_SOURCE_DIR}/build/start.c ${report_archive}.new -lpthread -ldl -lm
		COMMAND ${report_dir}/start)
endif()
add_custom_command(OUTPUT ${report_archive}
	COMMAND ${CMAKE_LINKER} -r -o ${report_dir}/pqquic.o @${report_dir}/wrap.opts $<TARGET_OBJECTS:shim>
		$<TARGET_OBJECTS:report-objects> ${joined}
	COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=pqq_* ${report_dir}/pqquic.o
	COMMAND ${CMAKE_COMMAND} -E rm -f ${report_archive}.new
	COMMAND ${CMAKE_AR} rcsD ${report_archive}.new ${report_dir}/pqquic.o
	${report_try}
	COMMAND ${CMAKE_COMMAND} -E rename ${report_archive}.new ${report_archive}
	DEPENDS shim $<TARGET_OBJECTS:shim> report-objects $<TARGET_OBJECTS:report-objects> ${report_dir}/wrap.opts
		${s2n_lib} ${crypto_lib} ${CMAKE_SOURCE_DIR}/build/start.c
	COMMAND_EXPAND_LISTS VERBATIM
	COMMENT "Joining libpqquic-report.a (${VARIANT})")
add_custom_target(report DEPENDS ${report_archive})
