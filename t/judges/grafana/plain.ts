// What JSON can say of Grafana's types: an enumeration is its values.
import type * as Schema9 from 'schema-9';
import type * as Schema10 from 'schema-10';
import type * as Schema11 from 'schema-11';
import type * as Schema12 from '@grafana/schema';
import type { Options as HeatmapOptions } from '@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type { Options as GaugeOptions } from '@grafana/schema/dist/types/raw/composable/gauge/panelcfg/x/types.gen';
import type { Options as TimeseriesOptions, FieldConfig as TimeseriesField } from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';
import type { Options as TableOptions } from '@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type * as Alerting from '@grafana/grafana-foundation-sdk/dist/alerting';

type NumberOf<T> = T extends `${infer N extends number}` ? N : never;
type Plain<T> =
    unknown extends T ? T
    : T extends string ? `${T}`
    : T extends number ? (`${number}` extends `${T}` ? number : NumberOf<`${T}`>)
    : T extends (infer U)[] ? Plain<U>[]
    : T extends object ? { [K in keyof T]: Plain<T[K]> }
    : T;

// What a data source asks for is its own.
type Target = Plain<Schema12.DataQuery> & Record<string, unknown>;
type Annotation = Omit<Plain<Schema12.AnnotationQuery>, 'target'> & { target: Target };
type Board<D extends { panels?: unknown, templating?: unknown, annotations?: unknown }, P, V> =
    Omit<D, 'panels' | 'templating' | 'annotations'> & {
        annotations: { list: Annotation[] };
        panels: P[];
        templating: { list: V[] };
    };

// Grafana 9's types want some keys for which Grafana has defaults, and lack what
// it had all the same: the rest of a variable, and the null of a first threshold,
// which all dashboards have that it writes.
type Panel9 = Partial<Plain<Omit<Schema9.Panel, 'fieldConfig'> | Schema9.RowPanel>>
    & { fieldConfig?: Plain<Schema10.Panel['fieldConfig']> };
type Variable = Plain<Schema10.VariableModel>;

export type Dashboard9 = Board<Plain<Omit<Schema9.Dashboard, 'style'>>, Panel9, Variable>;
export type Dashboard10 = Board<Plain<Schema10.Dashboard>, Plain<Schema10.Panel | Schema10.RowPanel>, Variable>;
export type Dashboard11 = Board<Plain<Schema11.Dashboard>, Plain<Schema11.Panel | Schema11.RowPanel>, Plain<Schema11.VariableModel>>;
export type Dashboard12 = Board<Plain<Schema12.Dashboard>, Plain<Schema12.Panel | Schema12.RowPanel>, Plain<Schema12.VariableModel>>;

export interface OptionsOf {
    heatmap: Plain<Partial<HeatmapOptions>>;
    stat: Plain<Partial<StatOptions>>;
    gauge: Plain<Partial<GaugeOptions>>;
    timeseries: Plain<TimeseriesOptions>;
    table: Plain<Partial<TableOptions>>;
}
export type TimeseriesCustom = Plain<TimeseriesField>;

// Of a file, a rule's folder and group are where it stands.
export type Rule = Omit<Plain<Omit<Alerting.Rule, 'orgID' | 'folderUID' | 'ruleGroup'>>, 'data'> & {
    data: (Plain<Omit<Alerting.Query, 'model'>> & { model: Target })[];
};
