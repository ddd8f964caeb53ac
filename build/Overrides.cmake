# Libraries from elsewhere, named as s2n-tls's own Rust binding names them.
#
#   S2N_TLS_DIR                              include/ and lib/, lib64/ or lib/<multiarch>/
#   S2N_TLS_LIB_DIR + S2N_TLS_INCLUDE_DIR    the two folders
#   AWS_LC_DIR                               as S2N_TLS_DIR
#
# Each is a CMake variable or an environment variable. A folder that lacks what it should have is
# refused by name: the build must never fall back to a library that nobody asked for.

foreach(name S2N_TLS_DIR S2N_TLS_LIB_DIR S2N_TLS_INCLUDE_DIR AWS_LC_DIR)
	if(NOT DEFINED ${name} AND NOT "$ENV{${name}}" STREQUAL "")
		set(${name} "$ENV{${name}}")
	endif()
	if(${name})
		get_filename_component(${name} "${${name}}" ABSOLUTE)
	endif()
endforeach()

# Finds lib<name>.a, or else lib<name>.so, below dir.
function(override_library variable dir name)
	foreach(sub . lib lib64 lib/${CMAKE_LIBRARY_ARCHITECTURE})
		foreach(ext a so)
			if(EXISTS ${dir}/${sub}/lib${name}.${ext})
				get_filename_component(path ${dir}/${sub}/lib${name}.${ext} ABSOLUTE)
				set(${variable} ${path} PARENT_SCOPE)
				return()
			endif()
		endforeach()
	endforeach()
	message(FATAL_ERROR "${dir} holds neither lib${name}.a nor lib${name}.so (looked in it, and in its lib, lib64 and "
		"lib/${CMAKE_LIBRARY_ARCHITECTURE})")
endfunction()

function(override_header variable dir header)
	foreach(sub . include)
		if(EXISTS ${dir}/${sub}/${header})
			get_filename_component(path ${dir}/${sub} ABSOLUTE)
			set(${variable} ${path} PARENT_SCOPE)
			return()
		endif()
	endforeach()
	message(FATAL_ERROR "${dir} holds no ${header} (looked in it and in its include)")
endfunction()

if(S2N_TLS_DIR)
	override_library(OVERRIDE_S2N_LIB ${S2N_TLS_DIR} s2n)
	override_header(OVERRIDE_S2N_INCLUDE ${S2N_TLS_DIR} s2n.h)
elseif(S2N_TLS_LIB_DIR OR S2N_TLS_INCLUDE_DIR)
	if(NOT S2N_TLS_LIB_DIR OR NOT S2N_TLS_INCLUDE_DIR)
		message(FATAL_ERROR "S2N_TLS_LIB_DIR and S2N_TLS_INCLUDE_DIR go together: give both, or S2N_TLS_DIR")
	endif()
	override_library(OVERRIDE_S2N_LIB ${S2N_TLS_LIB_DIR} s2n)
	override_header(OVERRIDE_S2N_INCLUDE ${S2N_TLS_INCLUDE_DIR} s2n.h)
endif()
if(AWS_LC_DIR)
	override_library(OVERRIDE_CRYPTO_LIB ${AWS_LC_DIR} crypto)
	override_header(OVERRIDE_CRYPTO_INCLUDE ${AWS_LC_DIR} openssl/base.h)
	get_filename_component(AWS_LC_PREFIX ${OVERRIDE_CRYPTO_INCLUDE} DIRECTORY)
endif()
