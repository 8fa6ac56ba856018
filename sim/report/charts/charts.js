// What the report draws with, and nothing else of either library: esbuild leaves out what is not
// named here. The result is the global `Charts`.
import * as core from 'echarts/core';
import { BarChart, CustomChart, HeatmapChart, LineChart, ScatterChart } from 'echarts/charts';
import {
  AriaComponent, DataZoomInsideComponent, GridComponent, LegendComponent, MarkLineComponent,
  TooltipComponent, VisualMapComponent,
} from 'echarts/components';
import { CanvasRenderer } from 'echarts/renderers';
import uPlot from 'uplot';

core.use([
  BarChart, CustomChart, HeatmapChart, LineChart, ScatterChart, AriaComponent,
  DataZoomInsideComponent, GridComponent, LegendComponent, MarkLineComponent, TooltipComponent,
  VisualMapComponent, CanvasRenderer,
]);

export const echarts = { init: core.init };
export { uPlot };
