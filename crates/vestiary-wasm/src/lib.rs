//! WebAssembly bindings of `vestiary`: convert, call, convert. No decision is made here.
//!
//! Short text on the hot path (the `Cookie` header, IDs, signed values) passes through a buffer in linear memory that
//! JavaScript reads and writes directly. Other texts are ordinary strings. An error is thrown as the string
//! `<code>\n<message>`, which the TypeScript package converts to an error class.

// Without `std`, its panic messages and its allocator, the module is a third smaller. On other targets (clippy, rustdoc)
// `std` has both.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod binding;
mod constants;
mod convert;
mod cookie;
mod ending;
mod lease;
mod memory;
mod near;
mod operations;
mod options;
mod running;
mod token;
mod visit;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
