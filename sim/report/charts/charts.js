// What the report draws with, and nothing else of either library: esbuild leaves out what is not
// named here. The result is the global `Charts`.
import * as core from 'echarts/core';
import { BarChart, HeatmapChart, LineChart, ScatterChart } from 'echarts/charts';
import {
  AriaComponent, GridComponent, LegendComponent, TooltipComponent, VisualMapComponent,
} from 'echarts/components';
import { LabelLayout } from 'echarts/features';
import { CanvasRenderer } from 'echarts/renderers';
import uPlot from 'uplot';

core.use([
  BarChart, HeatmapChart, LineChart, ScatterChart, AriaComponent, GridComponent, LegendComponent,
  TooltipComponent, VisualMapComponent, LabelLayout, CanvasRenderer,
]);

export const echarts = { init: core.init };
export { uPlot };
