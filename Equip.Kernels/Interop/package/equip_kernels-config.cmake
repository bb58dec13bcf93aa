# equip::kernels_v3 and equip::kernels_v4 link one level; equip::loader chooses by the processor when the program runs (equip_loader.h).
get_filename_component(_equip_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
foreach(_equip_level v3 v4)
  if(NOT TARGET equip::kernels_${_equip_level} AND EXISTS "${_equip_prefix}/lib/libequip_kernels_${_equip_level}.so")
    add_library(equip::kernels_${_equip_level} SHARED IMPORTED)
    set_target_properties(equip::kernels_${_equip_level} PROPERTIES
      IMPORTED_LOCATION "${_equip_prefix}/lib/libequip_kernels_${_equip_level}.so"
      IMPORTED_SONAME "libequip_kernels_${_equip_level}.so"
      INTERFACE_INCLUDE_DIRECTORIES "${_equip_prefix}/include")
  endif()
endforeach()
if(NOT TARGET equip::loader)
  add_library(equip::loader INTERFACE IMPORTED)
  target_sources(equip::loader INTERFACE "${_equip_prefix}/src/equip_loader.c")
  target_include_directories(equip::loader INTERFACE "${_equip_prefix}/include")
  target_link_libraries(equip::loader INTERFACE ${CMAKE_DL_LIBS})
  target_compile_definitions(equip::loader INTERFACE "EQUIP_LIBRARY_DIRECTORY=\"${_equip_prefix}/lib\"")
endif()
unset(_equip_prefix)
unset(_equip_level)
