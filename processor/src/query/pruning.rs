//! What conditions on `_partition`, `_offset` and `_timestamp` leave of a topic, so that the rest is never read.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use protocol::ids::{Offset, PartitionId, TimestampMs};

/// The part of a topic that can hold rows of the result. Bounds are inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pruning {
    partitions: Range,
    listed: Option<BTreeSet<i64>>,
    offsets: Range,
    timestamps_us: Range,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    least: i64,
    most: i64,
}

impl Range {
    const ALL: Self = Self {
        least: i64::MIN,
        most: i64::MAX,
    };

    fn narrow(&mut self, operator: Operator, value: i64) {
        match operator {
            Operator::Eq => {
                self.least = self.least.max(value);
                self.most = self.most.min(value);
            }
            Operator::Gt => self.least = self.least.max(value.saturating_add(1)),
            Operator::GtEq => self.least = self.least.max(value),
            Operator::Lt => self.most = self.most.min(value.saturating_sub(1)),
            Operator::LtEq => self.most = self.most.min(value),
            _ => {}
        }
    }
}

impl Pruning {
    /// What the conditions, all of which must hold, leave.
    pub(super) fn new(conditions: &[Expr]) -> Self {
        let mut pruning = Self {
            partitions: Range::ALL,
            listed: None,
            offsets: Range::ALL,
            timestamps_us: Range::ALL,
        };
        for condition in conditions {
            pruning.apply(condition);
        }
        pruning
    }

    /// True where a condition says something that can be used.
    pub(super) fn understands(condition: &Expr) -> bool {
        Self::new(std::slice::from_ref(condition)) != Self::new(&[])
    }

    /// True where the partition can hold rows of the result.
    pub(super) fn keeps(&self, partition: PartitionId) -> bool {
        let partition = i64::from(partition);
        (self.partitions.least..=self.partitions.most).contains(&partition)
            && self.listed.as_ref().is_none_or(|listed| listed.contains(&partition))
    }

    /// First offset to read.
    pub(super) fn first_offset(&self) -> Offset {
        self.offsets.least
    }

    /// Offset behind the last one to read.
    pub(super) fn end_offset(&self) -> Offset {
        self.offsets.most.saturating_add(1)
    }

    /// The earliest record timestamp of interest, in milliseconds, if there is one.
    pub(super) fn first_timestamp(&self) -> Option<TimestampMs> {
        (self.timestamps_us.least != i64::MIN).then(|| self.timestamps_us.least.div_euclid(1000))
    }

    fn apply(&mut self, condition: &Expr) {
        match condition {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And,
                right,
            }) => {
                self.apply(left);
                self.apply(right);
            }
            Expr::InList(_) | Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
                if let Some(listed) = listed_partitions(condition) {
                    self.listed = Some(match &self.listed {
                        Some(before) => before.intersection(&listed).copied().collect(),
                        None => listed,
                    });
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                match (name(left), number(right), name(right), number(left)) {
                    (Some(column), Some(value), ..) => self.narrow(column, *op, value),
                    (_, _, Some(column), Some(value)) => {
                        if let Some(op) = op.swap() {
                            self.narrow(column, op, value);
                        }
                    }
                    _ => {}
                }
            }
            Expr::Between(Between {
                expr,
                negated: false,
                low,
                high,
            }) => {
                if let (Some(column), Some(low), Some(high)) = (name(expr), number(low), number(high)) {
                    self.narrow(column, Operator::GtEq, low);
                    self.narrow(column, Operator::LtEq, high);
                }
            }
            _ => {}
        }
    }

    fn narrow(&mut self, column: &str, operator: Operator, value: i64) {
        match column {
            "_partition" => self.partitions.narrow(operator, value),
            "_offset" => self.offsets.narrow(operator, value),
            "_timestamp" => self.timestamps_us.narrow(operator, value),
            _ => {}
        }
    }
}

/// The partitions of a condition that does nothing but list them. The planner turns a short `IN` into equalities.
fn listed_partitions(condition: &Expr) -> Option<BTreeSet<i64>> {
    let (mut listed, mut unseen) = (BTreeSet::new(), vec![condition]);
    while let Some(condition) = unseen.pop() {
        match condition {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Or,
                right,
            }) => unseen.extend([left.as_ref(), right.as_ref()]),
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Eq,
                right,
            }) if name(left) == Some("_partition") => {
                listed.insert(number(right)?);
            }
            Expr::InList(InList {
                expr,
                list,
                negated: false,
            }) if name(expr) == Some("_partition") => {
                for item in list {
                    listed.insert(number(item)?);
                }
            }
            _ => return None,
        }
    }
    Some(listed)
}

fn name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(column.name.as_str()),
        _ => None,
    }
}

/// Whole numbers as they are, timestamps in microseconds.
fn number(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    match value {
        ScalarValue::Int8(v) => v.map(i64::from),
        ScalarValue::Int16(v) => v.map(i64::from),
        ScalarValue::Int32(v) => v.map(i64::from),
        ScalarValue::Int64(v) => *v,
        ScalarValue::TimestampMicrosecond(v, _) => *v,
        ScalarValue::TimestampMillisecond(v, _) => v.and_then(|v| v.checked_mul(1000)),
        ScalarValue::TimestampSecond(v, _) => v.and_then(|v| v.checked_mul(1_000_000)),
        // Cut towards the past: a bound may only become wider, and `<` on it is left to the filter above.
        ScalarValue::TimestampNanosecond(v, _) => v.filter(|v| v % 1000 == 0).map(|v| v / 1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn conditions_narrow_and_never_widen() {
        let pruning = Pruning::new(&[
            col("_offset").gt(lit(10_i64)).and(col("_offset").lt_eq(lit(20_i64))),
            lit(15_i64).gt(col("_offset")),
            col("_partition").in_list(vec![lit(1), lit(2)], false),
            col("_timestamp").gt_eq(lit(ScalarValue::TimestampMicrosecond(Some(1_500), None))),
        ]);
        assert_eq!((pruning.first_offset(), pruning.end_offset()), (11, 15));
        assert!(!pruning.keeps(0) && pruning.keeps(1) && pruning.keeps(2));
        assert_eq!(pruning.first_timestamp(), Some(1));
    }

    #[test]
    fn partitions_are_listed_in_every_way_that_the_planner_writes() {
        let is = |partition: i32| col("_partition").eq(lit(partition));
        let pruning = Pruning::new(&[
            is(1)
                .or(is(2))
                .or(col("_partition").in_list(vec![lit(3), lit(4)], false)),
            col("_partition").gt(lit(1)),
            is(4).or(is(2)).or(is(1)),
        ]);
        let kept: Vec<_> = (0..6).filter(|partition| pruning.keeps(*partition)).collect();
        assert_eq!(kept, [2, 4]);
    }

    #[test]
    fn what_is_not_understood_prunes_nothing() {
        for condition in [
            col("_offset").not_eq(lit(1_i64)),
            col("_offset").gt(lit(1_i64)).or(col("_offset").lt(lit(0_i64))),
            col("x").gt(lit(1_i64)),
            col("_partition").in_list(vec![lit(1)], true),
            col("_partition").eq(lit(1)).or(col("x").eq(lit(1))),
            col("_partition").eq(lit(1)).or(col("_partition").gt(lit(3))),
        ] {
            assert!(!Pruning::understands(&condition), "{condition}");
        }
        assert_eq!(Pruning::new(&[]).end_offset(), i64::MAX);
    }
}
