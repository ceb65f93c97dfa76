//! The tables of TFLite's schema that are read, by hand: a verifier has seen whatever the accessors read.

use flatbuffers::{Follow, ForwardsUOffset, InvalidFlatbuffer, Table, Vector, Verifiable, Verifier};

type Tables<'a, T> = ForwardsUOffset<Vector<'a, ForwardsUOffset<T>>>;
type Numbers<'a, T> = ForwardsUOffset<Vector<'a, T>>;
type Text<'a> = ForwardsUOffset<&'a str>;

/// Where field number `id` of a table stands in its list of offsets.
const fn slot(id: u16) -> u16 {
    4 + 2 * id
}

/// Declares tables by their fields' types and numbers. A field that is absent is `None`, whatever its default.
macro_rules! tables {
    ($a:lifetime; $($name:ident { $($field:ident: $type:ty = $id:literal),* $(,)? })*) => {$(
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name<$a>(Table<$a>);

        impl<$a> Follow<$a> for $name<$a> {
            type Inner = $name<$a>;

            unsafe fn follow(buffer: &$a [u8], at: usize) -> $name<$a> {
                // SAFETY: whoever follows an offset vouches for the table there.
                $name(unsafe { Table::new(buffer, at) })
            }
        }

        impl<$a> Verifiable for $name<$a> {
            fn run_verifier(verifier: &mut Verifier<'_, '_>, at: usize) -> Result<(), InvalidFlatbuffer> {
                verifier.visit_table(at)?$(.visit_field::<$type>(stringify!($field), slot($id), false)?)*.finish();
                Ok(())
            }
        }

        impl<$a> $name<$a> {$(
            pub(super) fn $field(&self) -> Option<<$type as Follow<$a>>::Inner> {
                // SAFETY: the verifier has seen this field as this type.
                unsafe { self.0.get::<$type>(slot($id), None) }
            }
        )*}
    )*};
}

tables! { 'a;
    Model {
        operator_codes: Tables<'a, OperatorCode<'a>> = 1,
        subgraphs: Tables<'a, SubGraph<'a>> = 2,
        buffers: Tables<'a, Buffer<'a>> = 4,
    }
    OperatorCode { deprecated_builtin_code: i8 = 0, custom_code: Text<'a> = 1, builtin_code: i32 = 3 }
    SubGraph {
        tensors: Tables<'a, Tensor<'a>> = 0,
        inputs: Numbers<'a, i32> = 1,
        outputs: Numbers<'a, i32> = 2,
        operators: Tables<'a, Operator<'a>> = 3,
    }
    Tensor {
        shape: Numbers<'a, i32> = 0,
        element: i8 = 1,
        buffer: u32 = 2,
        name: Text<'a> = 3,
        shape_signature: Numbers<'a, i32> = 7,
    }
    Buffer { data: Numbers<'a, u8> = 0, offset: u64 = 1, size: u64 = 2 }
    Conv2DOptions {
        padding: i8 = 0, stride_w: i32 = 1, stride_h: i32 = 2, activation: i8 = 3, dilation_w: i32 = 4, dilation_h: i32 = 5
    }
    DepthwiseConv2DOptions {
        padding: i8 = 0, stride_w: i32 = 1, stride_h: i32 = 2, activation: i8 = 4, dilation_w: i32 = 5, dilation_h: i32 = 6
    }
    Pool2DOptions {
        padding: i8 = 0, stride_w: i32 = 1, stride_h: i32 = 2, filter_w: i32 = 3, filter_h: i32 = 4, activation: i8 = 5
    }
    FullyConnectedOptions { activation: i8 = 0, weights_format: i8 = 1, keep_num_dims: bool = 2 }
    SoftmaxOptions { beta: f32 = 0 }
    ConcatenationOptions { axis: i32 = 0, activation: i8 = 1 }
    AddOptions { activation: i8 = 0 }
    SubOptions { activation: i8 = 0 }
    MulOptions { activation: i8 = 0 }
    DivOptions { activation: i8 = 0 }
    ReshapeOptions { new_shape: Numbers<'a, i32> = 0 }
    ReducerOptions { keep_dims: bool = 0 }
    SqueezeOptions { axes: Numbers<'a, i32> = 0 }
    ResizeBilinearOptions { align_corners: bool = 2, half_pixel_centers: bool = 3 }
    ResizeNearestNeighborOptions { align_corners: bool = 0, half_pixel_centers: bool = 1 }
    LeakyReluOptions { alpha: f32 = 0 }
    MirrorPadOptions { mode: i8 = 0 }
}

/// The settings of an operator, one of a union.
pub(super) trait Options<'a>: Follow<'a, Inner = Self> + 'a {
    /// The union's number for it.
    const CODE: u8;
}

macro_rules! options {
    ($($name:ident = $code:literal),* $(,)?) => {
        $(impl<'a> Options<'a> for $name<'a> {
            const CODE: u8 = $code;
        })*

        fn verify_options(code: u8, verifier: &mut Verifier<'_, '_>, at: usize) -> Result<(), InvalidFlatbuffer> {
            match code {
                $($code => verifier.verify_union_variant::<ForwardsUOffset<$name<'_>>>(stringify!($name), at),)*
                _ => Ok(()),
            }
        }
    };
}

options! {
    Conv2DOptions = 1,
    DepthwiseConv2DOptions = 2,
    Pool2DOptions = 5,
    FullyConnectedOptions = 8,
    SoftmaxOptions = 9,
    ConcatenationOptions = 10,
    AddOptions = 11,
    ResizeBilinearOptions = 15,
    ReshapeOptions = 17,
    MulOptions = 21,
    ReducerOptions = 27,
    SubOptions = 28,
    DivOptions = 29,
    SqueezeOptions = 30,
    ResizeNearestNeighborOptions = 74,
    LeakyReluOptions = 75,
    MirrorPadOptions = 77,
}

/// One operator of a subgraph.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operator<'a>(Table<'a>);

impl<'a> Follow<'a> for Operator<'a> {
    type Inner = Operator<'a>;

    unsafe fn follow(buffer: &'a [u8], at: usize) -> Operator<'a> {
        // SAFETY: as for the tables above.
        Operator(unsafe { Table::new(buffer, at) })
    }
}

impl Verifiable for Operator<'_> {
    fn run_verifier(verifier: &mut Verifier<'_, '_>, at: usize) -> Result<(), InvalidFlatbuffer> {
        verifier
            .visit_table(at)?
            .visit_field::<u32>("opcode_index", slot(0), false)?
            .visit_field::<Numbers<'_, i32>>("inputs", slot(1), false)?
            .visit_field::<Numbers<'_, i32>>("outputs", slot(2), false)?
            .visit_union::<u8, _>("options_type", slot(3), "options", slot(4), false, verify_options)?
            .finish();
        Ok(())
    }
}

impl<'a> Operator<'a> {
    pub(super) fn opcode_index(&self) -> u32 {
        // SAFETY: the verifier has seen this field as this type, here and below.
        unsafe { self.0.get::<u32>(slot(0), Some(0)) }.unwrap_or(0)
    }

    pub(super) fn inputs(&self) -> Vec<i32> {
        let found = unsafe { self.0.get::<Numbers<'a, i32>>(slot(1), None) };
        found.map(|list| list.iter().collect()).unwrap_or_default()
    }

    pub(super) fn outputs(&self) -> Vec<i32> {
        let found = unsafe { self.0.get::<Numbers<'a, i32>>(slot(2), None) };
        found.map(|list| list.iter().collect()).unwrap_or_default()
    }

    /// The settings, if they are of this kind.
    pub(super) fn options<T: Options<'a>>(&self) -> Option<T> {
        // SAFETY: the verifier has seen the union's value as the kind that its number says.
        match unsafe { self.0.get::<u8>(slot(3), None) } {
            Some(code) if code == T::CODE => unsafe { self.0.get::<ForwardsUOffset<T>>(slot(4), None) },
            _ => None,
        }
    }
}

/// Names of operators by their numbers.
const NAMES: &str = "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP \
    FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION \
    LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH \
    CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND \
    SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN \
    EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 \
    GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM \
    SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK \
    REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU \
    SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE \
    MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND \
    SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS \
    HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE \
    ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE \
    RELU_0_TO_1";

/// Names of element types by their numbers.
const ELEMENTS: [&str; 21] = [
    "FLOAT32",
    "FLOAT16",
    "INT32",
    "UINT8",
    "INT64",
    "STRING",
    "BOOL",
    "INT16",
    "COMPLEX64",
    "INT8",
    "FLOAT64",
    "COMPLEX128",
    "UINT64",
    "RESOURCE",
    "VARIANT",
    "UINT32",
    "UINT16",
    "INT4",
    "BFLOAT16",
    "INT2",
    "UINT4",
];

/// The name of an element type.
pub(super) fn element_name(code: i8) -> String {
    let known = usize::try_from(code).ok().and_then(|code| ELEMENTS.get(code));
    known.map_or_else(|| format!("element type {code}"), |name| (*name).to_string())
}

impl OperatorCode<'_> {
    /// The operator's name; for custom ones their own.
    pub(super) fn name(&self) -> String {
        // Numbers up to 127 stand in the older field, and in both.
        let code = self.builtin_code().unwrap_or(0).max(i32::from(self.deprecated_builtin_code().unwrap_or(0)));
        match (usize::try_from(code).ok().and_then(|code| NAMES.split_whitespace().nth(code)), self.custom_code()) {
            (Some("CUSTOM"), Some(custom)) => format!("CUSTOM {custom}"),
            (Some(name), _) => name.to_string(),
            (None, _) => format!("operator {code}"),
        }
    }
}
