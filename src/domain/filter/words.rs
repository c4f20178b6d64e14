//! The words of CQL2: comparisons, relations, operators, functions. Each enum's table is the one place with their spelling.

/// What an expression comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Boolean,
    /// A day.
    Date,
    /// A moment, to the microsecond.
    Moment,
    Interval,
    Geometry,
    List,
}

impl Kind {
    /// 文字, 数, 是非, 日期, 时刻, 时段, 图形, 列表.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Text => "文字",
            Kind::Number => "数",
            Kind::Boolean => "是非（true、false 或条件）",
            Kind::Date => "日期",
            Kind::Moment => "时刻",
            Kind::Interval => "时段",
            Kind::Geometry => "图形",
            Kind::List => "列表",
        }
    }

    /// A day or a moment.
    pub fn is_instant(self) -> bool {
        matches!(self, Kind::Date | Kind::Moment)
    }

    /// Whether `=` and `<` are about both: the same kind of simple value. A day and a moment compare as days.
    pub fn compares_with(self, other: Kind) -> bool {
        match self {
            Kind::Text | Kind::Number | Kind::Boolean => self == other,
            Kind::Date | Kind::Moment => other.is_instant(),
            Kind::Interval | Kind::Geometry | Kind::List => false,
        }
    }
}

/// An enum whose variants each have one word, in CQL2 text and JSON alike.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($variant,)+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// In any case.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str().eq_ignore_ascii_case(word))
            }
        }
    };
}

words! {
    Comparison {
        Equal = "=",
        Unequal = "<>",
        Less = "<",
        LessOrEqual = "<=",
        Greater = ">",
        GreaterOrEqual = ">=",
    }
}

words! {
    /// Of two geometries (DE-9IM).
    SpatialRelation {
        Intersects = "s_intersects",
        Disjoint = "s_disjoint",
        Equals = "s_equals",
        Touches = "s_touches",
        Crosses = "s_crosses",
        Within = "s_within",
        Contains = "s_contains",
        Overlaps = "s_overlaps",
    }
}

words! {
    /// Of two instants or intervals (Allen; W3C time ontology). Intervals are closed at both ends.
    TemporalRelation {
        After = "t_after",
        Before = "t_before",
        Contains = "t_contains",
        Disjoint = "t_disjoint",
        During = "t_during",
        Equals = "t_equals",
        FinishedBy = "t_finishedBy",
        Finishes = "t_finishes",
        Intersects = "t_intersects",
        Meets = "t_meets",
        MetBy = "t_metBy",
        OverlappedBy = "t_overlappedBy",
        Overlaps = "t_overlaps",
        StartedBy = "t_startedBy",
        Starts = "t_starts",
    }
}

impl TemporalRelation {
    /// The others are about intervals alone (21-065r2, table “between intervals”).
    pub fn takes_instants(self) -> bool {
        use TemporalRelation::{After, Before, Disjoint, Equals, Intersects};
        matches!(self, After | Before | Disjoint | Equals | Intersects)
    }
}

words! {
    /// Of two lists, taken as sets.
    ArrayRelation {
        Equals = "a_equals",
        Contains = "a_contains",
        ContainedBy = "a_containedBy",
        Overlaps = "a_overlaps",
    }
}

words! {
    Operator {
        Add = "+",
        Subtract = "-",
        Multiply = "*",
        Divide = "/",
        Modulo = "%",
        IntegerDivide = "div",
        Power = "^",
    }
}

words! {
    /// What may be called by name: the two of the standard, then ours.
    Function {
        CaseI = "casei",
        AccentI = "accenti",
        Lower = "lower",
        Upper = "upper",
        Length = "length",
        Abs = "abs",
        Floor = "floor",
        Ceil = "ceil",
        Round = "round",
        Area = "area",
    }
}

impl Function {
    /// The kinds of its arguments.
    pub fn takes(self) -> &'static [Kind] {
        match self {
            Function::CaseI | Function::AccentI | Function::Lower | Function::Upper | Function::Length => &[Kind::Text],
            Function::Abs | Function::Floor | Function::Ceil | Function::Round => &[Kind::Number],
            Function::Area => &[Kind::Geometry],
        }
    }

    pub fn gives(self) -> Kind {
        match self {
            Function::CaseI | Function::AccentI | Function::Lower | Function::Upper => Kind::Text,
            Function::Length | Function::Abs | Function::Floor | Function::Ceil | Function::Round | Function::Area => {
                Kind::Number
            }
        }
    }

    /// What it does, in Chinese.
    pub fn label(self) -> &'static str {
        match self {
            Function::CaseI => "不分大小写的写法",
            Function::AccentI => "去掉附加符号的写法",
            Function::Lower => "小写",
            Function::Upper => "大写",
            Function::Length => "字数",
            Function::Abs => "绝对值",
            Function::Floor => "不大于它的最大整数",
            Function::Ceil => "不小于它的最小整数",
            Function::Round => "最近的整数",
            Function::Area => "椭球面积（平方米）",
        }
    }
}
